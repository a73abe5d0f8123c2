// What the two users of libostree, repo.cc and pull.cc, share.
#pragma once

#include <ostree.h>

#include <string>
#include <string_view>

#include "updater/base/no_space.h"
#include "updater/base/result.h"
#include "updater/base/tree.h"
#include "updater/base/unique_fd.h"
#include "updater/release/commit.h"

namespace hostos {

// The name of the remote for pulls. Its URL is always overridden.
inline constexpr char kRemote[] = "hostos";

// The out parameter of a GLib call, and the Error that it becomes.
class GErrorOut {
 public:
  GErrorOut() = default;
  GErrorOut(const GErrorOut&) = delete;
  GErrorOut& operator=(const GErrorOut&) = delete;
  ~GErrorOut() { g_clear_error(&error_); }
  // NOLINTNEXTLINE(google-explicit-constructor): it is an argument as it stands
  operator GError**() { return &error_; }

  bool Is(GIOErrorEnum code) const { return g_error_matches(error_, G_IO_ERROR, code); }
  const char* message() const { return error_ ? error_->message : "unknown error"; }
  std::unexpected<Error> Fail(std::string_view what) const {
    return hostos::Fail(code(), "{}: {}", what, message());
  }
  // The code that callers branch on. libostree mostly says only that something failed, so its words
  // have to tell whether an object is bad.
  Code code() const {
    const std::string_view words = message();
    if (Is(G_IO_ERROR_NOT_FOUND)) return Code::kNotFound;
    if (Is(G_IO_ERROR_NO_SPACE) || words.contains("min-free-space") || SaysNoSpace(words))
      return Code::kNoSpace;
    if (words.contains("Corrupted") || words.contains("Parsing") ||
        words.contains("File too large") || Is(G_IO_ERROR_PARTIAL_INPUT) ||
        Is(G_IO_ERROR_INVALID_DATA))
      return Code::kNotTrusted;
    return Code::kFailed;
  }

 private:
  GError* error_ = nullptr;
};

inline OstreeObjectType ToOstree(ObjectType type) {
  return static_cast<OstreeObjectType>(type);
}

inline const char* Extension(ObjectType type) {
  return ostree_object_type_to_string(ToOstree(type));
}

bool IsArchive(OstreeRepo* repo);
// Copies a decompressor's output into an unnamed file that can seek.
Result<UniqueFd> Unpack(GInputStream* input);
// A content object without its content, from what libostree returns.
Result<FileObject> ToFileObject(const Digest& checksum, GFileInfo* info, GVariant* xattrs);

}  // namespace hostos
