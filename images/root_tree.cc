#include "images/root_tree.h"

#include <algorithm>
#include <filesystem>

#include "bootctl/entry_name.h"
#include "bootctl/loader_lines.h"
#include "images/sbom/dpkg.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// Calls `line(text)` for each line, without its newline.
template <class Line>
void ForEachLine(std::string_view text, Line line) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    line(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
}

// Finds the one folder of /usr/lib/modules that has a kernel.
Result<> FindKernel(const std::string& directory, RootTree& root) {
  const std::string modules = directory + "/usr/lib/modules";
  std::error_code error;
  for (fs::directory_iterator entry(modules, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code absent;
    const fs::path kernel = entry->path() / "vmlinuz";
    if (!fs::is_regular_file(fs::symlink_status(kernel, absent))) continue;
    if (!root.kernel.empty())
      return Fail(Code::kFailed, "expected one kernel, found two: {} and {}", root.kernel,
                  kernel.string());
    root.kernel = kernel;
    root.kernel_version = entry->path().filename();
  }
  if (error) return FailErrno(modules, error.value());
  if (root.kernel.empty())
    return Fail(Code::kFailed, "expected one kernel {}/*/vmlinuz, found none", modules);
  return {};
}

}  // namespace

std::vector<std::pair<std::string, std::string>> InstalledPackages(std::string_view status) {
  std::vector<std::pair<std::string, std::string>> packages;
  std::string name, version;
  bool installed = false;
  auto end_of_paragraph = [&] {
    if (installed && !name.empty()) packages.emplace_back(std::move(name), std::move(version));
    name.clear(), version.clear(), installed = false;
  };
  ForEachLine(status, [&](std::string_view line) {
    if (line.empty()) end_of_paragraph();
    if (line.starts_with("Package: ")) name = line.substr(9);
    if (line.starts_with("Version: ")) version = line.substr(9);
    if (line.starts_with("Status: ")) installed = line.ends_with(" installed");
  });
  end_of_paragraph();
  std::ranges::sort(packages);
  return packages;
}

Result<RootTree> InspectRootTree(const std::string& directory) {
  RootTree root;
  root.os_release = directory + "/usr/lib/os-release";
  const std::string text = TRY(ReadFile(root.os_release));
  std::string_view rest = text, key, value;
  std::string_view id;
  while (NextLoaderLine(rest, "=", key, value)) {
    if (key == "IMAGE_VERSION") root.image_version = value;
    if (key == "IMAGE_ID") id = value;
  }
  if (root.image_version.empty())
    return Fail(Code::kFailed, "{}: has no IMAGE_VERSION", root.os_release);
  // The loader sorts by it first: with ID in its place the releases of a node come in no order.
  if (id != kReleaseId)
    return Fail(Code::kFailed, "{}: expected IMAGE_ID={}, found '{}'", root.os_release, kReleaseId,
                id);
  TRY(FindKernel(directory, root));
  root.packages = InstalledPackages(TRY(ReadFile(directory + kDpkgPath + "/status", kMaxStatus)));
  return root;
}

}  // namespace hostos
