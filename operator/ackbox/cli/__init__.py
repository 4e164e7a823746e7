"""The command line. Imports stand inside the commands, so that `--help` answers at once."""

import click

from ackbox.cli import archives, argocd, clusters, completion, doctor, home, processes, uninstall
from ackbox.cli.base import Commands

ENDINGS = "\n".join(
    (
        "\b",
        "A command ends with",
        "  0    when it is done",
        "  1    when it could not be done; the message says why and what to do",
        "  2    when the command line is wrong",
        "  3    when there is no ackbox in the home, or it is down",
        "  4    when it was looked at and something is not as it should be (status, doctor)",
        "  130  when it was interrupted",
    )
)
"""`ackbox.cli.base.ExitCode` for people."""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=ENDINGS)
@click.version_option(package_name="ackbox")
def main() -> None:
    """Alibaba Cloud ACK in a box: managed clusters, node pools and load balancers on this machine.

    State is kept in .ackbox of the working directory, or in the folder that ACKBOX_HOME names.
    """


for command in (
    home.up,
    home.down,
    home.clean,
    home.status,
    home.logs,
    home.fetch,
    doctor.doctor,
    archives.snapshot,
    archives.bundle,
    completion.completion,
    clusters.kubeconfig,
    clusters.hibernate,
    clusters.wake,
    argocd.argocd,
    processes.operator,
    processes.ccm,
    processes.slb,
    processes.envoy,
    uninstall.uninstall,
):
    main.add_command(command)
