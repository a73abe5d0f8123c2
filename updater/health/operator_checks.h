// The operator's own checks: executables in `directory`/required and `directory`/wanted, run one
// after the other in the order of their names. Documented in docs/operations.md.
//
// A check is good when it ends with exit code 0 within its time. Exit code 75 (EX_TEMPFAIL of
// sysexits.h) says that it failed for a reason outside this machine, such as a network that is
// gone. It runs without a shell, as root in /, with stdin from /dev/null, stdout and stderr kept
// (the last 4 KiB), and this environment only:
//   PATH=/usr/sbin:/usr/bin:/sbin:/bin  LANG=C.UTF-8
//   HOSTCTL_CHECK=required/10-dns       HOSTCTL_CHECK_TIMEOUT=30 (seconds it has)
//   HOSTCTL_CHECK_FILE=/etc/hostctl/health.d/required/10-dns
// A script is called /proc/self/fd/3: the file that was looked at is the one that runs, also when
// its name has become another's meanwhile.
// It has a session of its own; when it ends, or its time does, its process group is killed.
#pragma once

#include <string>
#include <vector>

#include "updater/health/deadline.h"
#include "updater/health/health.h"

namespace hostos {

// One result a file, named "required/..." or "wanted/...". Names that begin with a dot are no
// checks, and a directory that does not exist has none. What only root should be able to change but
// others can, it or a folder or a link on the way to it, and what cannot be executed, fails and is
// not run. Over by `deadline`, give or take a
// second for a process that even SIGKILL does not end.
std::vector<CheckResult> RunOperatorChecks(const std::string& directory, Milliseconds timeout,
                                           const Deadline& deadline);

}  // namespace hostos
