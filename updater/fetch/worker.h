// The process that fetches for a RemoteSource: a Resolver and a StagingRepository behind a channel,
// without privileges.
//
// A request is a JSON object, followed by messages of bytes where noted. Its "call" is one of
//   connect     comes first: whose releases, from where, which signatures; files of this machine
//               come as a descriptor
//   resolve     "now", and "version" unless the newest is wanted; "metadata", the names of the
//               metadata files that the other end trusts; each file follows
//   verify      a release that an earlier run resolved: its commit and its detached metadata follow
//   plan        the "commit", which was resolved or verified before
//   fetch       likewise; with the number of "objects", content objects of this machine that not
//               everybody may read: of each, the checksum and the bytes follow
//   open        likewise; with a stream socket, which gets the UKI and then the sealed image
//   staging-free, discard
// Any number of {"done", "total"} come before the answer. The answer is an object with the results
// of the call. For "resolve" it is "files", the names of the repository's files that are needed to
// resolve again; each file follows. Or the answer is {"error", "message"}, where the error is a
// Code. "open" has two answers: one before the stream and one after it.
#pragma once

#include "updater/base/clock.h"
#include "updater/fetch/channel.h"

namespace hostos {

// systemd's sandbox still lets a process reach the abstract sockets of this machine (unix(7)),
// which are in the shared network namespace, and the other processes of its user. This call takes
// both from this thread and the threads it starts. Before Linux 6.12 it has no effect.
void LeaveOthersAlone();

inline constexpr Seconds kFirstRequest{60};

// Answers requests until the other end is gone. `directory` holds what the worker keeps. One worker
// at a time has it, from its first good request on; `patience` is how long that request may take.
// The other end must run as root, or as this process's user.
Result<> Serve(UniqueFd socket, const std::string& directory, Seconds patience = kFirstRequest);

}  // namespace hostos
