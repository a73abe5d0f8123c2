#include "images/reseal.h"

#include <algorithm>
#include <filesystem>
#include <ranges>
#include <unordered_set>
#include <vector>

#include "bootctl/uki.h"
#include "images/uki.h"
#include "updater/release/image_parts.h"
#include "updater/release/objects.h"
#include "updater/seal/seal.h"
#include "updater/source/scan.h"

namespace hostos {
namespace {

// Calls `use` with every piece of the rest of a file.
template <class Use>
Result<> ForEachPiece(int fd, Use use) {
  std::vector<std::byte> buffer(1 << 20);
  for (;;) {
    const size_t size = TRY(ReadFull(fd, buffer));
    if (size == 0) return {};
    TRY(use(std::span(buffer).first(size)));
  }
}

// A missing object, or one that cannot be unpacked, is not what was signed.
Error Untrusted(Error error) {
  if (error.code == Code::kFailed || error.code == Code::kNotFound) error.code = Code::kNotTrusted;
  return error;
}

// Before handing out a file, compares its content with its checksum.
class CheckingReader : public ContentReader {
 public:
  explicit CheckingReader(ContentReader& inner) : inner_(inner) {}

  Result<UniqueFd> Open(const FileObject& file) override {
    return OpenChecked(file, inner_).transform_error(Untrusted);
  }

 private:
  ContentReader& inner_;
};

Result<> Compare(std::string_view what, const std::string& found, const std::string& expected) {
  if (found == expected) return {};
  return Fail(Code::kNotTrusted, "the {} comes out as {}, signed is {}", what, found, expected);
}

// A node pulls only objects that the signed sizes list.
Result<> CheckListed(const Scan& scan, const std::vector<ObjectSize>& sizes) {
  std::unordered_set<Digest> listed;
  for (const ObjectSize& size : sizes) listed.insert(size.checksum);
  auto check = [&](const Digest& checksum) -> Result<> {
    if (listed.contains(checksum)) return {};
    return Fail(Code::kNotTrusted, "object {} is in the tree, but not in the signed sizes",
                checksum.Hex());
  };
  for (const FileObject& file : scan.tree.files) TRY(check(file.checksum));
  for (const MetadataObject& object : scan.tree.metadata) TRY(check(object.checksum));
  if (scan.uki) TRY(check(scan.uki->checksum));
  return {};
}

Result<> CheckUkiObject(const Scan& scan, CheckingReader& content, const Release& release,
                        const std::string& output) {
  if (!scan.uki) return Fail(Code::kNotTrusted, "the commit has no /boot/hostos.efi");
  const UniqueFd uki = TRY(content.Open(*scan.uki));
  const Copied copied = TRY(CopyContent(uki.get(), output));
  TRY(Compare("size of the UKI", std::to_string(copied.size), std::to_string(release.uki_size)));
  TRY(Compare("SHA-256 of the UKI", copied.digest.Hex(), release.uki_digest.Hex()));
  return CheckUki(uki.get(), release);
}

// A node that runs the release takes the rescue from there, and compares it with what was signed.
Result<> CheckRescueObject(const Scan& scan, CheckingReader& content, const Release& release,
                           const std::string& output) {
  if (!release.rescue) return {};
  const FileObject* file = FindFile(scan.tree, kRescuePath);
  if (!file) return Fail(Code::kNotTrusted, "the commit has no file {}", kRescuePath);
  const OpenPart open = [&](const std::string& path) -> Result<UniqueFd> {
    if (const FileObject* part = FindFile(scan.tree, path)) return content.Open(*part);
    return Fail(Code::kNotTrusted, "the commit has no file {}", path);
  };
  std::error_code no_directory;
  const std::string temporary = std::filesystem::temp_directory_path(no_directory);
  UniqueFd parts = TRY(content.Open(*file));
  const UniqueFd rescue = TRY(OpenImage(std::move(parts), release.rescue->size, open, temporary));
  const Copied copied = TRY(CopyContent(rescue.get(), output));
  TRY(Compare("size of the rescue", std::to_string(copied.size),
              std::to_string(release.rescue->size)));
  TRY(Compare("SHA-256 of the rescue", copied.digest.Hex(), release.rescue->digest.Hex()));
  TRY(ReadRescueUki(rescue.get(), release.architecture));
  return {};
}

}  // namespace

const FileObject* FindFile(const Tree& tree, std::string_view path) {
  if (!path.starts_with('/')) return nullptr;
  const TreeEntry* entry = nullptr;
  for (const auto part : std::views::split(path.substr(1), '/')) {
    if (entry && !entry->is_directory) return nullptr;
    const std::vector<TreeEntry>& entries = tree.directories[entry ? entry->index : 0].entries;
    const auto found = std::ranges::find(entries, std::string_view(part), &TreeEntry::name);
    if (found == entries.end()) return nullptr;
    entry = &*found;
  }
  if (!entry || entry->is_directory || !tree.files[entry->index].target.empty()) return nullptr;
  return &tree.files[entry->index];
}

Result<> CheckContent(const FileObject& file, int content) {
  Sha256 hash = StartContentChecksum(file);
  const auto update = [&](std::span<const std::byte> piece) -> Result<> {
    hash.Update(piece);
    return {};
  };
  if (content >= 0) TRY_CONTEXT("object " + file.checksum.Hex(), ForEachPiece(content, update));
  if (const Digest found = hash.Finish(); found != file.checksum)
    return Fail(Code::kNotTrusted, "object {}: its content has the checksum {}",
                file.checksum.Hex(), found.Hex());
  return {};
}

Result<UniqueFd> OpenChecked(const FileObject& file, ContentReader& content) {
  UniqueFd fd = TRY(content.Open(file));
  TRY(CheckContent(file, fd.get()));
  if (::lseek(fd.get(), 0, SEEK_SET) < 0) return FailErrno("lseek");
  return fd;
}

Result<std::string> ReadChecked(const FileObject& file, ContentReader& content, size_t cap) {
  if (file.size > cap)
    return Fail(Code::kNotSupported, "object {}: expected at most {} bytes, found {}",
                file.checksum.Hex(), cap, file.size);
  const UniqueFd fd = TRY(OpenChecked(file, content));
  std::string text(file.size, '\0');
  text.resize(TRY(ReadFull(fd.get(), std::as_writable_bytes(std::span(text)))));
  return text;
}

Result<Copied> CopyContent(int from, const std::string& to) {
  UniqueFd file = TRY(Open(to, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  Sha256 hash;
  Copied copied;
  TRY_CONTEXT(to, ForEachPiece(from, [&](std::span<const std::byte> piece) -> Result<> {
                hash.Update(piece);
                copied.size += piece.size();
                return WriteFull(file.get(), piece);
              }));
  TRY(file.Close());
  copied.digest = hash.Finish();
  return copied;
}

Result<ResealStats> Reseal(const SignedRelease& release, const ResealPaths& paths,
                           Progress& progress) {
  const Release& facts = release.commit.release;
  if (!std::ranges::contains(kSealFormats, facts.seal_format))
    return Fail(Code::kNotSupported, "release {} has seal format {}, this tool knows 1 to {}",
                facts.version, facts.seal_format, kSealFormats.back());
  progress.Begin("read", "commit " + facts.commit.Hex());
  const Scan scan = TRY(ScanCommit(release.repo, release.commit).transform_error(Untrusted));
  TRY(CheckListed(scan, release.commit.sizes));
  CheckingReader content(*scan.content);
  TRY(CheckUkiObject(scan, content, facts, paths.uki));
  TRY(CheckRescueObject(scan, content, facts, paths.rescue));

  ResealStats stats;
  for (const FileObject& file : scan.tree.files) {
    // The sealer opens, and so checks, the other files.
    if (file.size == 0 || !file.target.empty()) TRY(CheckContent(file, -1));
    if (file.target.empty()) stats.content += file.size;
  }
  stats.objects = scan.tree.files.size() + scan.tree.metadata.size();

  progress.Begin("seal", std::format("{} bytes", facts.image_size));
  UniqueFd image_file = TRY(Open(paths.image, O_RDWR | O_CREAT | O_TRUNC, 0644));
  UniqueFd verity_file = TRY(Open(paths.verity, O_RDWR | O_CREAT | O_TRUNC, 0644));
  const Sealed sealed =
      TRY(Seal(scan.tree, content, image_file.get(), verity_file.get(),
               [&](uint64_t done, uint64_t total) { progress.Bytes(done, total); }));
  TRY(Compare("size of the image", std::to_string(sealed.size.image),
              std::to_string(facts.image_size)));
  TRY(Compare("size of the hash tree", std::to_string(sealed.size.verity),
              std::to_string(facts.verity_size)));
  TRY(Compare("root hash", sealed.root_hash.Hex(), facts.root_hash.Hex()));
  TRY(image_file.Close());
  TRY(verity_file.Close());
  return stats;
}

}  // namespace hostos
