"""What runs the instances of deployments: one interface, a folder of equals."""

from agents.drivers.contract import Driver
from agents.drivers.elsewhere import Elsewhere

ELSEWHERE: dict[str, Driver] = {
    "external": Elsewhere("It is a process of the operator; its log is where it runs."),
    "remote": Elsewhere("It runs at its own address; nothing of it is here."),
}
