#include "tests/seal/test_tree.h"

#include <sys/mman.h>

#include <algorithm>
#include <format>

namespace hostos {
namespace {

Metadata WithType(Metadata metadata, mode_t type, mode_t mode) {
  metadata.mode = type | (metadata.mode ? metadata.mode : mode);
  return metadata;
}

// What getxattr(2) gives for "u::rw-,u:1000:r--,g::r--,m::r--,o::r--": version 2, then tag,
// permissions and id of each entry (Linux include/uapi/linux/posix_acl_xattr.h).
std::string AclValue() {
  auto entry = [](uint8_t tag, char permissions, uint32_t id) {
    std::string bytes{static_cast<char>(tag), 0, permissions, 0};
    return bytes.append(reinterpret_cast<const char*>(&id), sizeof id);
  };
  constexpr uint32_t kNoId = UINT32_MAX;
  return std::string("\2\0\0\0", 4) + entry(0x01, 6, kNoId) + entry(0x02, 4, 1000) +
         entry(0x04, 4, kNoId) + entry(0x10, 4, kNoId) + entry(0x20, 4, kNoId);
}

std::string Pattern(size_t size) {
  std::string text;
  for (size_t line = 0; text.size() < size; line++) text += std::format("line {}\n", line);
  text.resize(size);
  return text;
}

}  // namespace

TestTree::TestTree() {
  tree.directories.push_back({WithType({}, S_IFDIR, 0755), {}});
}

uint32_t TestTree::AddDirectory(uint32_t parent, const std::string& name, Metadata metadata) {
  auto index = static_cast<uint32_t>(tree.directories.size());
  tree.directories.push_back({WithType(std::move(metadata), S_IFDIR, 0755), {}});
  AddEntry(parent, {name, true, index});
  return index;
}

uint32_t TestTree::AddFile(uint32_t parent, const std::string& name, std::string content,
                           Metadata metadata) {
  uint32_t file = Add(parent, name,
                      {.checksum = {},
                       .metadata = WithType(std::move(metadata), S_IFREG, 0644),
                       .size = content.size(),
                       .target = {}});
  SetContent(file, std::move(content));
  return file;
}

uint32_t TestTree::AddLink(uint32_t parent, const std::string& name, const std::string& target,
                           Metadata metadata) {
  return Add(parent, name,
             {.checksum = {},
              .metadata = WithType(std::move(metadata), S_IFLNK, 0777),
              .size = target.size(),
              .target = target});
}

uint32_t TestTree::Add(uint32_t parent, const std::string& name, FileObject file) {
  auto index = static_cast<uint32_t>(tree.files.size());
  file.checksum = Sha256::Of(AsBytes(std::format("file {}", index)));
  tree.files.push_back(std::move(file));
  AddPath(parent, name, index);
  return index;
}

void TestTree::AddPath(uint32_t parent, const std::string& name, uint32_t file) {
  AddEntry(parent, {name, false, file});
}

void TestTree::AddEntry(uint32_t parent, TreeEntry entry) {
  auto& entries = tree.directories[parent].entries;
  auto at = std::ranges::lower_bound(entries, entry.name, {}, &TreeEntry::name);
  entries.insert(at, std::move(entry));
}

void TestTree::AddMetadataObject(std::string bytes, bool is_dirtree) {
  Digest checksum = Sha256::Of(AsBytes(bytes));
  tree.metadata.push_back({checksum, is_dirtree, std::move(bytes)});
}

void TestTree::SetContent(uint32_t file, std::string content) {
  content_[tree.files[file].checksum] = std::move(content);
}

Result<UniqueFd> TestTree::Open(const FileObject& file) {
  opened++;
  auto content = content_.find(file.checksum);
  if (content == content_.end()) return Fail(Code::kNotFound, "no such object");
  UniqueFd fd(::memfd_create("object", MFD_CLOEXEC));
  if (!fd) return FailErrno("memfd_create");
  TRY(WriteFull(fd.get(), AsBytes(content->second)));
  if (::lseek(fd.get(), 0, SEEK_SET) < 0) return FailErrno("lseek");
  return fd;
}

TestTree VariedTree() {
  TestTree t;
  uint32_t boot = t.AddDirectory(0, "boot", {.mode = 0700, .xattrs = {}});
  t.AddFile(boot, "hostos.efi", Pattern(9000));
  uint32_t usr = t.AddDirectory(0, "usr");
  uint32_t bin = t.AddDirectory(usr, "bin");
  uint32_t env = t.AddFile(bin, "env", Pattern(50000), {.mode = 0755, .xattrs = {}});
  t.AddPath(bin, "env2", env);
  t.AddPath(boot, "env", env);
  t.AddFile(bin, "su", Pattern(3 << 20), {.mode = 04755, .xattrs = {}});
  t.AddFile(bin, "wall", "x", {.gid = 5, .mode = 02755, .xattrs = {}});
  t.AddFile(bin, "ping", Pattern(5000),
            {.mode = 0755,
             .xattrs = {{"security.capability",
                         std::string("\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20)}}});
  t.AddLink(bin, "sh", "dash");
  uint32_t link = t.AddLink(usr, "lib", std::string(4095, 'l'));
  t.AddPath(usr, "lib64", link);
  t.AddLink(usr, "labelled", "target",
            {.xattrs = {{"security.selinux", "system_u:object_r:lib_t"}}});

  uint32_t sizes = t.AddDirectory(usr, "sizes");
  for (size_t size : {0, 1, 31, 32, 2943, 2944, 4063, 4064, 4065, 4095, 4096, 4097, 8192, 1 << 20})
    t.AddFile(sizes, std::format("{:07}", size), Pattern(size));

  uint32_t xattrs = t.AddDirectory(0, "xattrs",
                                   {.mode = 01777,
                                    .xattrs = {{"security.selinux", "system_u:object_r:root_t"},
                                               {"system.posix_acl_default", AclValue()},
                                               {"user.note", ""}}});
  t.AddFile(xattrs, "acl", "a",
            {.mode = 0644, .xattrs = {{"system.posix_acl_access", AclValue()}}});
  t.AddFile(xattrs, "large", "b",
            {.xattrs = {{"trusted.large", std::string(65535, 'v')},
                        {"user." + std::string(250, 'n'), std::string(6000, 'w')},
                        {"user.z", "after both"}}});
  t.AddFile(xattrs, "large-and-plain", Pattern(10000),
            {.xattrs = {{"user.large", std::string(4000, 'v')}}});
  t.AddFile(xattrs, "owner", "c", {.uid = 4000000000, .gid = 70000, .mode = 0600, .xattrs = {}});

  uint32_t names = t.AddDirectory(0, "names");
  for (const char* name :
       {"!", "-", ".-", ".a", "..a", "...", "\x01", "\xc3\xa4", "\xff", "a b", "~"})
    t.AddFile(names, name, name);
  t.AddFile(names, std::string(255, 'x'), "long");
  t.AddDirectory(0, "empty");
  uint32_t deep = 0;
  for (int i = 0; i < 40; i++) deep = t.AddDirectory(deep, std::format("d{}", i));

  t.AddMetadataObject("a dirtree", true);
  t.AddMetadataObject("a dirmeta", false);
  t.AddMetadataObject(Pattern(20000), true);
  return t;
}

Tree Reordered(const Tree& tree) {
  Tree other = tree;
  std::reverse(other.directories.begin() + 1, other.directories.end());
  std::ranges::reverse(other.files);
  std::ranges::reverse(other.metadata);
  for (Directory& directory : other.directories)
    for (TreeEntry& entry : directory.entries)
      entry.index = static_cast<uint32_t>(entry.is_directory ? tree.directories.size() - entry.index
                                                             : tree.files.size() - 1 - entry.index);
  return other;
}

}  // namespace hostos
