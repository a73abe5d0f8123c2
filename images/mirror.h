// Copies channels for a site that cannot, or should not, reach their publisher: TUF metadata,
// release targets, commits and objects, as files that any web server serves. Everything is verified
// as a node verifies it, so the way it takes needs no trust.
//
// Nodes see a change all at once, through timestamp.json, after everything it leads to is on stable
// storage. Whatever interrupts a run, the mirror offers what it offered before, and the next run
// goes on. What the mirror offers is also its memory: it never goes back.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "updater/base/progress.h"
#include "updater/base/result.h"
#include "updater/release/release_target.h"
#include "updater/release/signature.h"

namespace hostos {

struct MirrorOptions {
  std::string from;               // http://, https://, or an absolute directory
  std::string repo;               // created if it is missing
  std::string root;               // file: the TUF root to trust; later roots are copied
  std::vector<std::string> keys;  // directories of *.pub
  SignatureRule signatures;
  std::set<std::string> channels;  // "<product>/<architecture>/<channel>"; those it has are added
};

struct Mirrored {
  std::vector<ReleaseTarget> releases;  // that nodes can install from the mirror, each once
  uint64_t objects = 0;                 // copied in this run
  uint64_t bytes = 0;                   // over the wire
};

// Copies every release of the channels that is not withdrawn. `now` is in seconds since the epoch.
// kNotTrusted names what does not hold, kNotFound a channel without releases. If `repo` already
// holds a mirror, `root` must vouch for it: it must be the same publisher's.
Result<Mirrored> Mirror(MirrorOptions options, uint64_t now, Progress& progress);

}  // namespace hostos
