// Runs the operator's own checks: executables in `directory`/required and `directory`/wanted, one
// after the other, ordered by name. Documented in docs/operations.md.
//
// A check passes when it ends with exit code 0 within its time. Exit code 75 (EX_TEMPFAIL of
// sysexits.h) says that it failed for a reason outside this machine, such as a network that is
// gone. It runs without a shell, as root in /, with stdin from /dev/null, stdout and stderr kept
// (the last 4 KiB), and with only this environment:
//   PATH=/usr/sbin:/usr/bin:/sbin:/bin  LANG=C.UTF-8
//   HOSTCTL_CHECK=required/10-dns       HOSTCTL_CHECK_TIMEOUT=30 (seconds it has)
//   HOSTCTL_CHECK_FILE=/etc/hostctl/health.d/required/10-dns
// A script is called /proc/self/fd/3: the file that runs is the one that was inspected, even if its
// name belongs to another file by then.
// A check has its own session. When it ends, or its time does, its process group is killed.
#pragma once

#include <string>
#include <vector>

#include "updater/health/deadline.h"
#include "updater/health/health.h"

namespace hostos {

// One result per file, named "required/..." or "wanted/...". Names that begin with a dot are no
// checks; a missing directory has none. A file fails and is not run if it cannot be executed, or if
// anyone but root can change it or a folder or link on the way to it. Ends by `deadline`, plus
// about a second for each process that even SIGKILL does not end.
std::vector<CheckResult> RunOperatorChecks(const std::string& directory, Milliseconds timeout,
                                           const Deadline& deadline);

}  // namespace hostos
