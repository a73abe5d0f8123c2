// The files of a committed release, one by one, without a checkout.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "updater/release/commit.h"
#include "updater/source/repo.h"

namespace hostos {

// The content object of a path in the commit's root, if there is a regular file.
Result<std::optional<Digest>> FindFile(const Repo& repo, const Commit& commit,
                                       std::string_view path);

// What is in a directory of it, by name; nothing when there is none.
Result<std::vector<std::string>> ListDirectory(const Repo& repo, const Commit& commit,
                                               std::string_view path);

// The content of such an object; kFailed for more than `cap` bytes.
Result<std::string> ReadObject(const Repo& repo, const Digest& content, size_t cap);
// Of the file at a path; kNotFound when there is none.
Result<std::string> ReadFileOf(const Repo& repo, const Commit& commit, const std::string& path,
                               size_t cap);

}  // namespace hostos
