#include "images/checksums.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <ranges>

#include "updater/base/atomic_file.h"
#include "updater/base/text.h"
#include "updater/base/unique_fd.h"
#include "updater/release/commit.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxSums = 1 << 20, kMaxSignatureFile = 64 << 10;
constexpr std::string_view kSignatureSuffix = ".sig";

// Of any algorithm: the length tells which. Those of other lengths are not counted.
Result<std::vector<Signature>> SignaturesBeside(const fs::path& sums) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::directory_iterator entry(sums.parent_path(), error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (name.starts_with(std::format("{}.", kSumsFile)) && name.ends_with(kSignatureSuffix))
      paths.push_back(entry->path());
  }
  if (error) return FailErrno(sums.parent_path().string(), error.value());
  if (paths.size() > kMaxSignatures)
    return Fail(Code::kNotTrusted, "{}: expected at most {} signatures, found {}", sums.string(),
                kMaxSignatures, paths.size());
  std::vector<Signature> signatures;
  for (const std::string& path : paths) {
    const std::string bytes = TRY(ReadFile(path, kMaxSignatureFile));
    for (const Algorithm algorithm : kAlgorithms) signatures.push_back({algorithm, bytes});
  }
  return signatures;
}

// The digest that a list of sha256sum(1) has for a name.
Result<Digest> FindSum(std::string_view sums, std::string_view name) {
  constexpr size_t kHex = 64;
  for (const auto part : std::views::split(sums, '\n')) {
    const std::string_view line(part);
    if (line.size() <= kHex + 2 || line.substr(kHex + 2) != name) continue;
    return Digest::FromHex(line.substr(0, kHex));
  }
  return Fail(Code::kNotTrusted, "expected a line for {}, found none: was it renamed?", name);
}

}  // namespace

Result<SummedFile> SumFile(const std::string& directory, const std::string& name) {
  const std::string path = directory + "/" + name;
  const UniqueFd file = TRY(Open(path, O_RDONLY));
  struct stat status;
  if (::fstat(file.get(), &status) < 0) return FailErrno(path);
  const auto size = static_cast<uint64_t>(status.st_size);
  const Digest digest = TRY_CONTEXT(path, HashFile(file.get(), size));
  return SummedFile{name, size, digest};
}

Result<> WriteSums(const std::string& directory, std::span<const SummedFile> files,
                   std::span<const SecretKey> keys) {
  std::map<std::string, std::string> lines;
  for (const SummedFile& file : files)
    lines[file.name] = std::format("{}  {}\n", file.digest.Hex(), file.name);
  const std::string text = Joined(std::views::values(lines), "");
  const std::string sums = std::format("{}/{}", directory, kSumsFile);
  std::map<Algorithm, int> counts;
  for (const SecretKey& key : keys) {
    const Signature signature = TRY(key.Sign(text));
    const int count = ++counts[signature.algorithm];
    TRY(WriteFileAtomically(
        std::format("{}.{}{}{}", sums, Lower(Name(signature.algorithm)),
                    count > 1 ? std::format("-{}", count) : "", kSignatureSuffix),
        signature.bytes));
  }
  return WriteFileAtomically(sums, text);
}

Result<uint32_t> CheckSums(const std::string& path, const Digest& digest,
                           std::span<const PublicKey> trusted, const SignatureRule& rule) {
  const fs::path image = fs::absolute(path), sums = image.parent_path() / kSumsFile;
  const std::string text = TRY(ReadFile(sums, kMaxSums));
  const std::vector<Signature> signatures = TRY(SignaturesBeside(sums));
  const uint32_t signers =
      TRY_CONTEXT(sums.string(), CountSigners(text, signatures, trusted, rule));
  const Digest expected = TRY_CONTEXT(sums.string(), FindSum(text, image.filename().string()));
  if (digest != expected)
    return Fail(Code::kNotTrusted,
                "{}: expected SHA-256 {}, as {} says, found {}: it was changed or cut short; "
                "download it again",
                path, expected.Hex(), kSumsFile, digest.Hex());
  return signers;
}

}  // namespace hostos
