#include "images/commit_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <ranges>
#include <vector>

#include "updater/release/objects.h"

namespace hostos {

// What is at a path, if anything is.
static Result<std::optional<DirtreeEntry>> FindEntry(const Repo& repo, const Commit& commit,
                                                     std::string_view path) {
  DirtreeEntry at = {.name = {},
                     .is_directory = true,
                     .checksum = commit.root_dirtree,
                     .dirmeta = commit.root_dirmeta};
  for (const auto part : std::views::split(path.substr(1), '/')) {
    if (!at.is_directory) return std::nullopt;
    const std::string bytes = TRY(repo.ReadMetadata(ObjectType::kDirtree, at.checksum));
    const std::vector<DirtreeEntry> entries = TRY(ParseDirtree(bytes));
    const auto next = std::ranges::find(entries, std::string_view(part), &DirtreeEntry::name);
    if (next == entries.end()) return std::nullopt;
    at = *next;
  }
  return at;
}

Result<std::optional<Digest>> FindFile(const Repo& repo, const Commit& commit,
                                       std::string_view path) {
  const std::optional<DirtreeEntry> at = TRY(FindEntry(repo, commit, path));
  if (!at || at->is_directory) return std::nullopt;
  const FileObject file = TRY(repo.ReadFileHeader(at->checksum));
  return S_ISREG(file.metadata.mode) ? std::optional(at->checksum) : std::nullopt;
}

Result<std::vector<std::string>> ListDirectory(const Repo& repo, const Commit& commit,
                                               std::string_view path) {
  std::vector<std::string> names;
  const std::optional<DirtreeEntry> at = TRY(FindEntry(repo, commit, path));
  if (!at || !at->is_directory) return names;
  const std::string bytes = TRY(repo.ReadMetadata(ObjectType::kDirtree, at->checksum));
  for (DirtreeEntry& entry : TRY(ParseDirtree(bytes))) names.push_back(std::move(entry.name));
  return names;
}

Result<std::string> ReadObject(const Repo& repo, const Digest& content, size_t cap) {
  const UniqueFd file = TRY(repo.OpenContent(content));
  struct stat status;
  if (::fstat(file.get(), &status) < 0) return FailErrno(content.Hex());
  if (static_cast<uint64_t>(status.st_size) > cap)
    return Fail(Code::kFailed, "expected at most {} bytes, found {}", cap, status.st_size);
  std::string text(static_cast<size_t>(status.st_size), '\0');
  TRY(PreadFull(file.get(), std::as_writable_bytes(std::span(text)), 0));
  return text;
}

Result<std::string> ReadFileOf(const Repo& repo, const Commit& commit, const std::string& path,
                               size_t cap) {
  const std::string where = commit.release.version + ":" + path;
  const std::optional<Digest> content = TRY_CONTEXT(where, FindFile(repo, commit, path));
  if (!content) return Fail(Code::kNotFound, "{}: there is no such file", where);
  return TRY_CONTEXT(where, ReadObject(repo, *content, cap));
}

}  // namespace hostos
