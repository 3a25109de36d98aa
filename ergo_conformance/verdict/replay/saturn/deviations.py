"""Known deviations of real clients in captures of Saturn, recognised by the messages alone."""

from typing import Final

from ....model.ergo import saturn
from ..known_deviations import KnownDeviation
from .findings import SaturnFinding


def _says_that_it_is_hidden(finding: SaturnFinding) -> bool:
    match finding.recorded, finding.actual:
        case saturn.Register() as recorded, saturn.Register() as actual:
            return actual.Hidden and not recorded.Hidden and actual._replace(Hidden=False) == recorded
    return False


def _unloads_with_its_name(finding: SaturnFinding) -> bool:
    match finding.recorded, finding.actual:
        case saturn.UnregisterApplicationRoute(recorded, ""), saturn.UnregisterApplicationRoute(actual, node):
            return (recorded, finding.client.name) == (actual, node)
    return False


def _announces_again(finding: SaturnFinding) -> bool:
    """After a further registration, an application that was announced before."""
    match finding.recorded, finding.actual:
        case None, saturn.RegisterApplicationRoute(route):
            return finding.client.registrations > 1 and route.Name in finding.client.announced
    return False


SATURN_DEVIATIONS: Final = (
    KnownDeviation("SAT-RG-6", "upstream does not set Hidden for a hidden node", _says_that_it_is_hidden),
    KnownDeviation("SAT-EV-3", "upstream leaves Node empty when it unloads an application", _unloads_with_its_name),
    KnownDeviation("SAT-RC-2", "upstream does not announce all applications when it registers again", _announces_again),
)
