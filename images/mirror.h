// A copy of channels for a site that cannot reach their publisher, or should not: TUF metadata,
// release targets, commits and objects, as files that any web server serves. Everything is verified
// as a node verifies it, and so needs no trust on its way.
//
// Nodes see a change all at once, with timestamp.json, after everything it leads to is there and on
// stable storage: whatever interrupts a run, the mirror offers what it offered before, and the next
// run goes on. What the mirror offers is its memory too: it never goes back.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "updater/base/progress.h"
#include "updater/base/result.h"
#include "updater/source/release_target.h"
#include "updater/source/sign.h"

namespace hostos {

struct MirrorOptions {
  std::string from;               // http://, https://, or a directory, absolute
  std::string repo;               // made when it is not there
  std::string root;               // the TUF root to trust: a file; every later root is copied
  std::vector<std::string> keys;  // directories of *.pub
  SignatureRule signatures;
  std::set<std::string> channels;  // "<product>/<architecture>/<channel>"; and those it has already
};

struct Mirrored {
  std::vector<ReleaseTarget> releases;  // that nodes can install from the mirror, each once
  uint64_t objects = 0;                 // copied in this run
  uint64_t bytes = 0;                   // over the wire
};

// Copies every release of the channels that is not withdrawn; `now` in seconds since the epoch.
// kNotTrusted names what does not hold, kNotFound a channel without releases. What is at `repo` has
// to be a mirror of the same publisher's, as far as `root` says.
Result<Mirrored> Mirror(MirrorOptions options, uint64_t now, Progress& progress);

}  // namespace hostos
