#include "images/verify_container.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <ranges>
#include <vector>

#include "images/oci.h"
#include "updater/base/text.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

constexpr uint64_t kMaxDocument = 1 << 20;
constexpr size_t kMaxEntries = 64;
constexpr std::string_view kAlgorithm = "sha256:";

using Reader = std::unique_ptr<archive, decltype([](archive* a) { archive_read_free(a); })>;

Error Problem(archive* reader) {
  const char* text = archive_error_string(reader);
  const int error = archive_errno(reader);
  return {
      error == ENOMEM ? Code::kFailed : Code::kNotTrusted,
      std::format("it is damaged or cut short: {}", text ? text : "libarchive does not say how")};
}

Result<> CheckRoot(Sha256& hash, uint64_t size, const ContainerRoot& root) {
  const Digest found = hash.Finish();
  if (size == root.size && found == root.digest) return {};
  return Fail(Code::kNotTrusted,
              "expected the {} bytes that the release makes, SHA-256 {}, found {}, SHA-256 {}",
              root.size, root.digest.Hex(), size, found.Hex());
}

// Reads one stream to its end, or to where it is longer than the root.
Result<> CheckStream(archive* reader, const ContainerRoot& root) {
  archive_entry* entry = nullptr;
  if (archive_read_next_header(reader, &entry) != ARCHIVE_OK)
    return std::unexpected(Problem(reader));
  Sha256 hash;
  uint64_t size = 0;
  std::vector<std::byte> buffer(1 << 20);
  for (;;) {
    const la_ssize_t n = archive_read_data(reader, buffer.data(), buffer.size());
    if (n < 0) return std::unexpected(Problem(reader));
    if (n == 0) return CheckRoot(hash, size, root);
    size += static_cast<uint64_t>(n);
    if (size > root.size)
      return Fail(Code::kNotTrusted, "expected {} bytes in it, found more", root.size);
    hash.Update(std::span(buffer).first(static_cast<size_t>(n)));
  }
}

Result<Reader> Gzip() {
  Reader reader(archive_read_new());
  if (!reader) return FailErrno("libarchive", ENOMEM);
  if (archive_read_support_filter_gzip(reader.get()) != ARCHIVE_OK ||
      archive_read_support_format_raw(reader.get()) != ARCHIVE_OK)
    return std::unexpected(Problem(reader.get()));
  return reader;
}

// The layer of an OCI archive, read as it streams by.
struct Layer {
  archive* outer;
  Sha256 hash;
  uint64_t size = 0;
  std::vector<std::byte> buffer = std::vector<std::byte>(1 << 20);
};

la_ssize_t ReadLayer(archive* inner, void* state, const void** bytes) {
  Layer& layer = *static_cast<Layer*>(state);
  const la_ssize_t n = archive_read_data(layer.outer, layer.buffer.data(), layer.buffer.size());
  if (n < 0) {
    archive_set_error(inner, archive_errno(layer.outer), "%s", archive_error_string(layer.outer));
    return ARCHIVE_FATAL;
  }
  layer.hash.Update(std::span(layer.buffer).first(static_cast<size_t>(n)));
  layer.size += static_cast<uint64_t>(n);
  *bytes = layer.buffer.data();
  return n;
}

// Compares the content of the present entry, and says what it is called as it is stored.
Result<OciLayer> CheckLayer(archive* outer, const ContainerRoot& root) {
  Layer layer{.outer = outer, .hash = {}};
  const Reader inner = TRY(Gzip());
  if (archive_read_open(inner.get(), &layer, nullptr, ReadLayer, nullptr) != ARCHIVE_OK)
    return std::unexpected(Problem(inner.get()));
  TRY(CheckStream(inner.get(), root));
  // What is behind the compressed stream belongs to the blob, too.
  const void* rest = nullptr;
  while (ReadLayer(inner.get(), &layer, &rest) > 0) {
  }
  return OciLayer{.digest = layer.hash.Finish(), .size = layer.size, .diff_id = root.digest};
}

using Use = std::function<Result<>(archive* reader, const std::string& name, uint64_t size)>;

// Calls `use` with every regular file of a tar archive.
Result<> ForEachFile(const std::string& path, const Use& use) {
  const Reader reader(archive_read_new());
  if (!reader) return FailErrno("libarchive", ENOMEM);
  if (archive_read_support_format_tar(reader.get()) != ARCHIVE_OK ||
      archive_read_open_filename(reader.get(), path.c_str(), 1 << 16) != ARCHIVE_OK)
    return std::unexpected(Problem(reader.get()));
  archive_entry* entry = nullptr;
  for (size_t entries = 0;; entries++) {
    const int status = archive_read_next_header(reader.get(), &entry);
    if (status == ARCHIVE_EOF) return {};
    if (status != ARCHIVE_OK) return std::unexpected(Problem(reader.get()));
    if (archive_entry_filetype(entry) == AE_IFDIR) continue;
    const char* name = archive_entry_pathname(entry);
    if (archive_entry_filetype(entry) != AE_IFREG || !name || entries > kMaxEntries)
      return Fail(Code::kNotTrusted, "expected a few regular files, found something else");
    TRY(use(reader.get(), name, static_cast<uint64_t>(archive_entry_size(entry))));
  }
}

// All but what is too large for a document.
Result<std::map<std::string, std::string>> ReadDocuments(const std::string& path) {
  std::map<std::string, std::string> documents;
  const auto read = [&](archive* reader, const std::string& name, uint64_t size) -> Result<> {
    if (documents.contains(name))
      return Fail(Code::kNotTrusted, "expected each name once, found {} again", name);
    std::string& text = documents[name];
    if (size > kMaxDocument) return {};
    text.resize(size);
    const la_ssize_t n = archive_read_data(reader, text.data(), text.size());
    if (n != static_cast<la_ssize_t>(size)) return std::unexpected(Problem(reader));
    return {};
  };
  TRY(ForEachFile(path, read));
  return documents;
}

// What a document says at a place, as the name of a blob.
std::string BlobAt(const std::string& document, const char* pointer) {
  const auto json = nlohmann::json::parse(document, nullptr, false);
  const nlohmann::json::json_pointer place(pointer);
  if (!json.is_object() || !json.contains(place) || !json[place].is_string()) return "";
  const std::string digest = json[place];
  const Result<Digest> parsed =
      Digest::FromHex(digest.substr(std::min(digest.size(), kAlgorithm.size())));
  return digest.starts_with(kAlgorithm) && parsed ? BlobPath(*parsed) : "";
}

}  // namespace

Result<> CheckPackedRoot(const std::string& path, const ContainerRoot& root) {
  const Reader reader = TRY(Gzip());
  if (archive_read_open_filename(reader.get(), path.c_str(), 1 << 16) != ARCHIVE_OK)
    return std::unexpected(Problem(reader.get()));
  return CheckStream(reader.get(), root);
}

Result<> CheckOciArchive(const std::string& path, const Release& release,
                         const ContainerRoot& root) {
  std::map<std::string, std::string> found = TRY(ReadDocuments(path));
  const std::string manifest = BlobAt(found["index.json"], "/manifests/0/digest");
  const std::string blob = BlobAt(found[manifest], "/layers/0/digest");
  std::optional<OciLayer> layer;
  const auto check = [&](archive* reader, const std::string& name, uint64_t) -> Result<> {
    if (name == blob) layer = TRY_CONTEXT(name, CheckLayer(reader, root));
    return {};
  };
  TRY(ForEachFile(path, check));
  if (!layer)
    return Fail(Code::kNotTrusted, "expected index.json, a manifest and its layer, found no layer");
  const OciDocuments expected = DescribeOci(release, *layer);
  std::map<std::string, std::string> files = {{"oci-layout", std::string(kOciLayout)},
                                              {"index.json", expected.index}};
  for (const std::string& document : {expected.config, expected.manifest})
    files[BlobPath(Sha256::Of(AsBytes(document)))] = document;
  found.erase("");
  found.erase(blob);
  if (found == files && BlobPath(layer->digest) == blob) return {};
  return Fail(Code::kNotTrusted,
              "expected the documents that the release makes, found others: {}; expected {}",
              Joined(std::views::keys(found)), Joined(std::views::keys(files)));
}

}  // namespace hostos
