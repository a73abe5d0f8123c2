#include "images/updatable.h"

#include <algorithm>
#include <filesystem>

#include "images/program.h"
#include "updater/base/unique_fd.h"
#include "updater/source/sign.h"
#include "updater/tuf/metadata.h"
#include "updater/tuf/trust.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// As hostctl.toml and rootfs say it to nodes.
constexpr const char* kKeysPath = "/usr/lib/hostos/keys.d";
constexpr const char* kRootPath = "/usr/lib/hostos/tuf/root.json";

// Not a program of ours is at fault, or a signature, but the tree.
Error InTree(Error error) {
  return Error{Code::kFailed, std::move(error.message)}.Wrap("nodes could not update from it");
}

Result<> CheckRoot(const std::string& path) {
  const std::string bytes = TRY(ReadFile(path, tuf::kRootCap));
  TRY_CONTEXT(path, tuf::TrustFirstRoot(bytes));
  return {};
}

// A key that lies across two windows is whole in the overlap, as far as it takes to know it.
constexpr size_t kWindow = 1 << 20, kOverlap = 512;

// Libraries of TLS have keys in them, to test themselves with.
constexpr std::string_view kProgram =
    "\x7f"
    "ELF";

Result<bool> HasSecret(int file, std::string& window) {
  for (size_t kept = 0;;) {
    const size_t read =
        TRY(ReadFull(file, std::as_writable_bytes(std::span(window).subspan(kept))));
    const std::string_view found = std::string_view(window).substr(0, kept + read);
    if (kept == 0 && found.starts_with(kProgram)) return false;
    if (HasSecretKey(found)) return true;
    if (kept + read < window.size()) return false;
    kept = kOverlap;
    std::copy(window.end() - kOverlap, window.end(), window.begin());
  }
}

Result<> CheckNoSecrets(const std::string& tree) {
  std::string window(kWindow, '\0');
  std::error_code error;
  for (fs::recursive_directory_iterator entry(tree, error), end; !error && entry != end;
       entry.increment(error)) {
    TRY(CheckInterrupt());
    std::error_code gone;
    if (!fs::is_regular_file(entry->symlink_status(gone))) continue;
    const std::string path = entry->path();
    const UniqueFd file = TRY(Open(path, O_RDONLY | O_NOFOLLOW));
    if (TRY_CONTEXT(path, HasSecret(file.get(), window)))
      return Fail(Code::kFailed,
                  "{}: expected no secret key in a release, where everybody can read it, found "
                  "one: remove it (`hostimage public --key FILE` prints a key's public half)",
                  path);
  }
  if (error) return FailErrno(tree, error.value());
  return {};
}

}  // namespace

Result<> CheckUpdatable(const std::string& tree) {
  TRY(CheckNoSecrets(tree));
  const std::string keys = tree + kKeysPath;
  TRY(LoadGivenKeys({&keys, 1}).transform_error(InTree));
  return CheckRoot(tree + kRootPath).transform_error(InTree);
}

}  // namespace hostos
