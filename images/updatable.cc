#include "images/updatable.h"

#include <algorithm>
#include <filesystem>
#include <toml++/toml.hpp>

#include "images/program.h"
#include "updater/base/release.h"
#include "updater/base/unique_fd.h"
#include "updater/release/secret_text.h"
#include "updater/release/signature.h"
#include "updater/tuf/metadata.h"
#include "updater/tuf/trust.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// The paths that hostctl.toml and rootfs give to nodes.
constexpr const char* kKeysPath = "/usr/lib/hostos/keys.d";
constexpr const char* kRootPath = "/usr/lib/hostos/tuf/root.json";
constexpr const char* kConfigPath = "/usr/lib/hostctl/hostctl.toml";

// The tree is at fault, not a program or a signature.
Error InTree(Error error) {
  return Error{Code::kFailed, std::move(error.message)}.Wrap("nodes could not update from it");
}

Result<> CheckRoot(const std::string& path) {
  const std::string bytes = TRY(ReadFile(path, tuf::kRootCap));
  TRY_CONTEXT(path, tuf::TrustFirstRoot(bytes));
  return {};
}

// The signatures that the tree's nodes ask for, as far as its settings say. Checking all settings
// is up to hostctl.
Result<SignatureRule> RuleOf(const std::string& path) {
  const Result<std::string> text = ReadFile(path);
  if (!text && text.error().code == Code::kNotFound) return SignatureRule{};
  const std::string settings = TRY(text);
  try {
    const toml::table table = toml::parse(settings);
    const auto source = table["source"];
    const std::string policy = source["signatures"].value_or("hybrid");
    const std::optional<SignaturePolicy> named = PolicyNamed(policy);
    if (!named)
      return Fail(Code::kFailed, "{}: signatures: expected classical, hybrid or pq, found '{}'",
                  path, policy);
    return SignatureRule{*named, source["required_signatures"].value_or(1U)};
  } catch (const toml::parse_error& error) {
    return Fail(Code::kFailed, "{}: {}", path, error.description());
  }
}

// Checks for enough keys of each algorithm: otherwise nodes would refuse whatever comes after this
// release.
Result<> CheckKeys(const std::string& tree) {
  const std::string directory = tree + kKeysPath;
  const std::vector<PublicKey> keys = TRY(LoadGivenKeys({&directory, 1}));
  const SignatureRule rule = TRY(RuleOf(tree + kConfigPath));
  for (const Algorithm algorithm : kAlgorithms) {
    const auto found = std::ranges::count(keys, algorithm, &PublicKey::algorithm);
    if (Demands(rule.policy, algorithm) && std::cmp_less(found, rule.required))
      return Fail(Code::kFailed,
                  "{}: expected keys of {}, at least {} as [source] in {} has it (default: one of "
                  "each algorithm), found {}; hostimage keygen makes one of each",
                  directory, Name(algorithm), rule.required, kConfigPath, found);
  }
  return {};
}

// The overlap holds a key that lies across two windows, or as much of it as is needed to recognize
// it.
constexpr size_t kWindow = 1 << 20, kOverlap = 512;

// TLS libraries contain keys for their self-tests.
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
    if (path == tree + std::string(kRescuePath)) continue;  // made of the tree's programs and files
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
  TRY(CheckKeys(tree).transform_error(InTree));
  return CheckRoot(tree + kRootPath).transform_error(InTree);
}

}  // namespace hostos
