"""Facts of the Ergo protocols: EDF, EHS, ENP, ESRD, Saturn."""
