// The process that fetches for a RemoteSource: an OstreeSource behind a channel, without
// privileges.
//
// A request is a JSON object, followed by messages of bytes where it says so; its "call" is one of
//   connect     the first: whose releases, where from, which signatures; what is on this machine
//               comes as a descriptor
//   resolve     "now", and "version" unless it is to be the newest; "metadata", the names of the
//               files that whoever asks trusts, each of which follows
//   use         a release that was verified before: its commit and its detached metadata follow
//   plan, fetch of the release that was resolved or used last; with "fetch" come so many
//               "objects", content objects of the parent that not everybody may read: of each
//               follow its checksum and its bytes
//   open        the same; with a stream socket, which gets the UKI and then the sealed image
//   staging-free, discard
// Before the answer come any number of {"done", "total"}. The answer is an object with the call's
// results; of "resolve" it is "files", the names of the repository's files that it takes to resolve
// once more, each of which follows. Or it is {"error", "message"}, the first of which is a Code.
// "open" has two answers: one before the stream and one behind it.
#pragma once

#include "updater/fetch/channel.h"
#include "updater/source/ostree_source.h"

namespace hostos {

// systemd's sandbox leaves a process the abstract sockets of this machine (unix(7)), which are in
// everybody's network namespace, and its user's other processes. From here on this thread, and
// those it starts, have neither; before Linux 6.12 they keep both.
void LeaveOthersAlone();

inline constexpr Seconds kFirstRequest{60};

// Until the other end is gone. What it keeps is in `directory`, which is its own: one worker at a
// time has it, from a good first request on, for which the other end has `patience`. That end is
// root's, or of the user who this process is.
Result<> Serve(UniqueFd socket, const std::string& directory, Seconds patience = kFirstRequest);

}  // namespace hostos
