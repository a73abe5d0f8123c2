#include "images/tree_files.h"

#include <algorithm>
#include <filesystem>

#include "updater/base/release.h"

namespace hostos {

namespace fs = std::filesystem;

OpenPart PartsOf(const std::string& tree) {
  return [tree](const std::string& path) { return Open(tree + path, O_RDONLY | O_NOFOLLOW); };
}

Result<std::vector<FileFinder::Found>> FindTreeFiles(const std::string& tree,
                                                     std::string_view image) {
  FileFinder finder(PartsOf(tree));
  std::vector<std::string> names;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(tree + "/usr", error), end; !error && entry != end;
       entry.increment(error))
    if (const std::string name = entry->path().string().substr(tree.size());
        name != kRescuePath && fs::is_regular_file(entry->symlink_status(error)))
      names.push_back(name);
  if (error) return FailErrno(tree, error.value());
  std::ranges::sort(names);  // of equal files always the same
  for (const std::string& name : names) TRY(finder.Add(name, fs::file_size(tree + name, error)));
  return finder.FindIn(image);
}

}  // namespace hostos
