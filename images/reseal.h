// Sealing a release again from its repository: the proof that what is stored there is, byte for
// byte, what was signed, and the way to its image.
#pragma once

#include <cstdint>
#include <string>

#include "images/signed_release.h"
#include "updater/base/progress.h"
#include "updater/base/tree.h"

namespace hostos {

struct ResealStats {
  uint64_t objects = 0;  // of the commit's tree, of every type
  uint64_t content = 0;  // bytes of all regular files
};

// Reads every object of the release, comparing each with its checksum, and writes the image, its
// hash tree, the UKI and the rescue, if it brings one, to these paths. kNotTrusted, naming the
// object or the value, when an object is missing or differs, or when the root hash, a size, the
// digest of the UKI or the rescue, or the release the UKI boots is not what was signed.
struct ResealPaths {
  std::string image = "/dev/null", verity = "/dev/null", uki = "/dev/null", rescue = "/dev/null";
};
Result<ResealStats> Reseal(const SignedRelease& release, const ResealPaths& paths,
                           Progress& progress);

// The rest of an open file, or -1 for none, is the object's content: with its metadata it has its
// checksum, else kNotTrusted.
Result<> CheckContent(const FileObject& file, int content);

// Copies the rest of a file; returns the SHA-256 and the number of the bytes that were written.
struct Copied {
  Digest digest;
  uint64_t size = 0;
};
Result<Copied> CopyContent(int from, const std::string& to);

}  // namespace hostos
