#include "images/container_root.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>

#include "images/program.h"
#include "images/reseal.h"
#include "images/tar_writer.h"
#include "updater/base/sbom_path.h"

namespace hostos {
namespace {

constexpr std::string_view kDatabase = "usr/lib/sysimage/dpkg", kScanned = "var/lib/dpkg";
constexpr std::string_view kKernelPackage = "linux-image-";
constexpr size_t kMaxStatus = 64 << 20;

// What boots a machine, and what describes a root with a kernel in it.
constexpr std::string_view kLeftOut[] = {"boot", "efi", "usr/lib/modules", kRescuePath.substr(1),
                                         "usr/share/sbom"};
static_assert(std::string_view(kCycloneDxPath).starts_with("/usr/share/sbom/"));

// Units that act on a machine's disks, boot entries or network. In WSL these belong to Windows.
constexpr std::string_view kMasked[] = {
    "efi.automount",
    "efi.mount",
    "hostos-fetch.socket",
    "hostos-health-gate.service",
    "hostos-own-disk.service",
    "hostos-probation.service",
    "hostos-recount.service",
    "hostos-trial-deadline.timer",
    "systemd-networkd-wait-online.service",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-resolved.service",
};
constexpr std::string_view kWslConf = "[boot]\nsystemd=true\n";
constexpr std::string_view kWslDistribution =
    "[oobe]\ndefaultUid=0\ndefaultName=HostOS\n\n[shortcut]\nenabled=false\n";

struct Item {
  Metadata metadata;
  const FileObject* file = nullptr;  // content, or the target of a link
  std::string target;                // of a link that is not in the commit
  std::optional<std::string> text;   // of a file that is not in the commit as it is here
};
using Items = std::map<std::string, Item>;  // by path; a directory comes before what is in it

bool IsIn(std::string_view path, std::string_view directory) {
  return path == directory ||
         (path.starts_with(directory) && path.substr(directory.size()).starts_with('/'));
}

Metadata Owned(uint32_t mode) {
  return {.uid = 0, .gid = 0, .mode = mode, .xattrs = {}};
}

// The whole tree under its own names.
void Collect(const Tree& tree, uint32_t directory, const std::string& prefix, Items& items) {
  for (const TreeEntry& entry : tree.directories[directory].entries) {
    const std::string path = prefix + entry.name;
    if (entry.is_directory) {
      items[path].metadata = tree.directories[entry.index].metadata;
      Collect(tree, entry.index, path + "/", items);
    } else {
      items[path] = {.metadata = tree.files[entry.index].metadata,
                     .file = &tree.files[entry.index],
                     .target = {},
                     .text = {}};
    }
  }
}

// Directories that lead to `path`, where they are missing.
void AddParents(const std::string& path, Items& items) {
  for (size_t at = path.find('/'); at != std::string::npos; at = path.find('/', at + 1))
    items.try_emplace(path.substr(0, at), Item{Owned(S_IFDIR | 0755), nullptr, {}, {}});
}

void AddText(const std::string& path, std::string_view text, Items& items) {
  AddParents(path, items);
  items[path] = {Owned(S_IFREG | 0644), nullptr, {}, std::string(text)};
}

void AddLink(const std::string& path, const std::string& target, Items& items) {
  AddParents(path, items);
  items[path] = {Owned(S_IFLNK | 0777), nullptr, target, {}};
}

// The paragraphs of a dpkg status file, without those of the kernel's packages.
std::string WithoutKernel(std::string_view status) {
  std::string kept;
  while (!status.empty()) {
    const size_t end = status.find("\n\n");
    const std::string_view paragraph =
        status.substr(0, end == std::string_view::npos ? end : end + 2);
    status.remove_prefix(paragraph.size());
    if (!paragraph.starts_with(std::format("Package: {}", kKernelPackage))) kept += paragraph;
  }
  return kept;
}

// Moves dpkg's database to where Debian has it: scanners of containers follow no links. The kernel
// is not there, so neither are its packages.
Result<> MoveDatabase(Items& items, ContentReader& content) {
  std::erase_if(items, [](const auto& item) { return IsIn(item.first, kScanned); });
  Items moved;
  for (const auto& [path, item] : items)
    if (IsIn(path, kDatabase)) moved[std::string(kScanned) + path.substr(kDatabase.size())] = item;
  std::erase_if(items, [](const auto& item) { return IsIn(item.first, kDatabase); });
  const std::string kernel = std::format("{}/info/{}", kScanned, kKernelPackage);
  std::erase_if(moved, [&](const auto& item) { return item.first.starts_with(kernel); });
  const std::string path = std::format("{}/status", kScanned);
  const auto status = moved.find(path);
  if (status == moved.end() || !status->second.file || !status->second.file->target.empty())
    return Fail(Code::kFailed, "expected a file /{}/status in the release, found none", kDatabase);
  const std::string text = TRY(ReadChecked(*status->second.file, content, kMaxStatus));
  status->second.text = WithoutKernel(text);
  AddParents(path, items);
  items.merge(moved);
  AddLink(std::string(kDatabase), std::format("../../../{}", kScanned), items);
  return {};
}

// On a node systemd-tmpfiles makes what the root's links into /var lead to, such as /root. Here
// nobody may run it.
void FillVar(Items& items) {
  std::vector<std::string> targets;
  for (const auto& [path, item] : items) {
    if (!item.file || item.file->target.empty()) continue;
    const std::filesystem::path link(path);
    const std::string target = (link.parent_path() / item.file->target).lexically_normal();
    if (target.starts_with("var/") && std::ranges::count(target, '/') == 1)
      targets.push_back(target);
  }
  targets.emplace_back("var/tmp");
  for (const std::string& path : targets) {
    const uint32_t mode = path == "var/roothome" ? 0700 : path == "var/tmp" ? 01777 : 0755;
    AddParents(path, items);
    items.try_emplace(path, Item{Owned(S_IFDIR | mode), nullptr, {}, {}});
  }
}

Result<Items> ItemsFor(const Scan& scan, ContainerKind kind) {
  Items items;
  Collect(scan.tree, 0, "", items);
  std::erase_if(items, [](const auto& item) {
    return std::ranges::any_of(kLeftOut, [&](auto path) { return IsIn(item.first, path); });
  });
  TRY(MoveDatabase(items, *scan.content));
  FillVar(items);
  if (kind == ContainerKind::kWsl) {
    AddText("etc/wsl.conf", kWslConf, items);
    AddText("etc/wsl-distribution.conf", kWslDistribution, items);
    items.erase("etc/resolv.conf");  // WSL writes it
    for (std::string_view unit : kMasked)
      AddLink(std::format("etc/systemd/system/{}", unit), "/dev/null", items);
  }
  return items;
}

Result<> Add(TarWriter& tar, const std::string& path, const Item& item, ContentReader& content) {
  if (item.text) return tar.AddText(path, item.metadata, *item.text);
  const std::string& target = item.file ? item.file->target : item.target;
  if (!target.empty()) {
    if (item.file) TRY(CheckContent(*item.file, -1));
    return tar.AddLink(path, item.metadata, target);
  }
  if (!item.file) return tar.AddDirectory(path, item.metadata);
  const UniqueFd fd = TRY(OpenChecked(*item.file, content));
  return tar.AddFile(path, item.metadata, fd.get(), item.file->size);
}

}  // namespace

Result<ContainerRoot> WriteContainerRoot(const Scan& scan, uint64_t time, ContainerKind kind,
                                         const std::string& path) {
  const Items items = TRY(ItemsFor(scan, kind));
  TarWriter tar = TRY(TarWriter::Create(path, time));
  for (const auto& [name, item] : items) {
    TRY(CheckInterrupt());
    TRY_CONTEXT("/" + name, Add(tar, name, item, *scan.content));
  }
  TRY(tar.Finish());
  const UniqueFd file = TRY(Open(path, O_RDONLY));
  struct stat status;
  if (::fstat(file.get(), &status) < 0) return FailErrno(path);
  ContainerRoot root = {
      .digest = {}, .size = static_cast<uint64_t>(status.st_size), .entries = items.size()};
  root.digest = TRY(HashFile(file.get(), root.size));
  return root;
}

}  // namespace hostos
