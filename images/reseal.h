// Seals a release again from its repository. That proves that what is stored there is, byte for
// byte, what was signed, and makes its image.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "images/signed_release.h"
#include "updater/base/progress.h"
#include "updater/base/tree.h"

namespace hostos {

struct ResealStats {
  uint64_t objects = 0;  // of every type, in the commit's tree
  uint64_t content = 0;  // bytes of all regular files
};

// Reads every object of the release and compares it with its checksum. Writes the image, its hash
// tree, the UKI and the rescue, if there is one, to these paths. kNotTrusted when an object is
// missing or differs, or when the root hash, a size, the digest of the UKI or of the rescue, or the
// release that the UKI boots is not what was signed; the message names it.
struct ResealPaths {
  std::string image = "/dev/null", verity = "/dev/null", uki = "/dev/null", rescue = "/dev/null";
};
Result<ResealStats> Reseal(const SignedRelease& release, const ResealPaths& paths,
                           Progress& progress);

// Null when the tree has no regular file at this absolute path.
const FileObject* FindFile(const Tree& tree, std::string_view path);

// Checks that the rest of an open file, or nothing if -1, is the object's content: together with
// the metadata it must have the object's checksum. kNotTrusted otherwise.
Result<> CheckContent(const FileObject& file, int content);

// Opens a file at its start, once its content has its checksum.
Result<UniqueFd> OpenChecked(const FileObject& file, ContentReader& content);
// The whole of such a file; kNotSupported when it has more than `cap` bytes.
Result<std::string> ReadChecked(const FileObject& file, ContentReader& content, size_t cap);

// Copies the rest of a file. Returns SHA-256 and size of what was written.
struct Copied {
  Digest digest;
  uint64_t size = 0;
};
Result<Copied> CopyContent(int from, const std::string& to);

}  // namespace hostos
