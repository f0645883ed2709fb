"""JupyterHub for one Linux machine in a classroom: `classroom/hub.md` says how to use it.

    sudo .venv/bin/jupyterhub -f classroom/jupyterhub_config.py

Safe as it stands: it listens on this machine only, lets in only members of the system group `learners`, by their
system passwords, makes nobody an administrator, and starts each learner's server under that learner's own account.
JupyterHub's own options come after it in the command and win, as in `--ip 0.0.0.0 --ssl-key KEY --ssl-cert CERT`.

In the environment: COURSE_HUB_STATE, the hub's own folder; COURSE_HUB_GROUP, the group that may log in;
COURSE_HUB_MEMORY, what a process of a learner may take; COURSE_HUB_PAUSE, the seconds between two starts.
"""

import os
import sys

from classroom import hub

c = get_config()  # noqa: F821  JupyterHub puts it here

with hub.in_words():
    state = hub.state_folder(os.environ.get("COURSE_HUB_STATE", "/var/lib/shape-of-a-batch"))
    hub.stop_if_learners_cannot_start()
    c.ConfigurableHTTPProxy.command = hub.proxy_command()
    c.Spawner.pre_spawn_hook = hub.Queue(os.environ.get("COURSE_HUB_PAUSE", "3"))

# Who gets in ----------------------------------------------------------------------------------------------------------

c.JupyterHub.authenticator_class = "pam"  # the machine's own accounts and passwords
c.PAMAuthenticator.allowed_groups = {os.environ.get("COURSE_HUB_GROUP", "learners")}
c.PAMAuthenticator.admin_groups = set()
c.JupyterHub.bind_url = "http://127.0.0.1:8000"  # this machine only, until the command says otherwise

# The hub's own files, which no learner can read -----------------------------------------------------------------------

c.JupyterHub.cookie_secret_file = str(state / "cookie_secret")
c.JupyterHub.db_url = f"sqlite:///{state / 'hub.sqlite'}"
c.ConfigurableHTTPProxy.pid_file = str(state / "proxy.pid")

# Each learner's server ------------------------------------------------------------------------------------------------

c.JupyterHub.spawner_class = "localprocess"  # a process that runs under the learner's account
hub.set_up_servers(c, sys.executable)
c.Spawner.environment["COURSE_PROCESSES"] = "512"  # and threads, of one learner: a mistake with them stops there
c.Spawner.mem_limit = os.environ.get("COURSE_HUB_MEMORY", "3G")

# Thirty at once, in a queue -------------------------------------------------------------------------------------------

c.JupyterHub.concurrent_spawn_limit = 100  # those who wait in the queue count too
c.Spawner.start_timeout = 120
c.Spawner.http_timeout = 120  # a busy machine is no failure
