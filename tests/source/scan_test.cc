#include "updater/source/scan.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <set>
#include <sstream>

#include "images/publish/build_commit.h"
#include "images/publish/scan_directory.h"
#include "tests/source/release_fixture.h"
#include "updater/release/commit.h"
#include "updater/release/glib.h"
#include "updater/release/objects.h"
#include "updater/source/archive.h"

namespace hostos {
namespace {

// A whole tree as text, so that a difference shows where it is.
std::string Describe(const Tree& tree) {
  std::string text;
  auto metadata = [](const Metadata& m) {
    std::string line = std::format("{}:{} {:o}", m.uid, m.gid, m.mode);
    for (const Xattr& xattr : m.xattrs) {
      line += std::format(
          " {}={}", xattr.name,
          Hex({reinterpret_cast<const uint8_t*>(xattr.value.data()), xattr.value.size()}));
    }
    return line;
  };
  for (const Directory& directory : tree.directories) {
    text += "directory " + metadata(directory.metadata) + "\n";
    for (const TreeEntry& entry : directory.entries) {
      text += std::format("  {} {} {}\n", entry.name, entry.is_directory, entry.index);
    }
  }
  for (const FileObject& file : tree.files) {
    text += std::format("file {} {} {} '{}'\n", file.checksum.Hex(), metadata(file.metadata),
                        file.size, file.target);
  }
  for (const MetadataObject& object : tree.metadata) {
    text += std::format("object {} {} {}\n", object.checksum.Hex(), object.is_dirtree,
                        object.bytes.size());
  }
  return text;
}

// The first line in which two trees differ, from both; empty when they are equal.
std::string Difference(const Tree& one, const Tree& other) {
  std::istringstream left(Describe(one)), right(Describe(other));
  for (std::string a, b;;) {
    bool more = static_cast<bool>(std::getline(left, a));
    if (more != static_cast<bool>(std::getline(right, b))) return "one is longer";
    if (!more) return "";
    if (a != b) return a + " | " + b;
  }
}

std::string Content(ContentReader& reader, const FileObject& file) {
  UniqueFd fd = std::move(*reader.Open(file));
  std::string bytes(file.size + 1, '\0');
  size_t size = *ReadFull(fd.get(), std::as_writable_bytes(std::span(bytes)));
  bytes.resize(size);
  return bytes;
}

TEST_CASE("a directory, its commit in an archive and in a bare repository give the same tree") {
  Publisher publisher;
  std::string tree = publisher.directory / "tree";
  MakeOddTree(tree);
  Digest commit = publisher.Publish(tree, "1.0");
  std::string bare = publisher.directory / "bare";
  Repo repo = InitBare(bare);
  REQUIRE(Shell("ostree pull-local --repo=" + bare + " " + publisher.path + " " + commit.Hex())
              .status == 0);

  auto directory = ScanDirectory(tree);
  auto archived = ScanCommit(publisher.repo, commit);
  auto unpacked = ScanCommit(repo, commit);
  REQUIRE(directory);
  REQUIRE(archived);
  REQUIRE(unpacked);
  CHECK(Difference(directory->tree, archived->tree) == "");
  CHECK(Difference(directory->tree, unpacked->tree) == "");

  // Three paths with the same content and metadata are one object; another mode makes another
  // object.
  CHECK(directory->tree.files.size() < 22);
  for (const FileObject& file : directory->tree.files) {
    CAPTURE(file.checksum.Hex());
    if (!file.target.empty()) continue;
    std::string content = Content(*directory->content, file);
    CHECK(content.size() == file.size);
    CHECK(Content(*archived->content, file) == content);
    CHECK(Content(*unpacked->content, file) == content);
  }
  REQUIRE(unpacked->uki);
  CHECK(Content(*unpacked->content, *unpacked->uki) == "MZ the kernel of 1.0");
  CHECK_FALSE(directory->uki);

  // A checked-out commit has the UKI in /boot, and is still the same tree.
  std::string checkout = publisher.directory / "checkout";
  REQUIRE(Shell("ostree checkout --repo=" + bare + " " + commit.Hex() + " " + checkout).status ==
          0);
  auto again = ScanDirectory(checkout);
  REQUIRE(again);
  CHECK(Difference(again->tree, directory->tree) == "");
  CHECK(again->uki->checksum == unpacked->uki->checksum);
}

TEST_CASE("the objects kept for the embedded store are all of the tree's but the root and /boot") {
  Publisher publisher;
  std::string tree = publisher.directory / "tree";
  MakeOddTree(tree);
  Digest checksum = publisher.Publish(tree, "1.0");
  Commit commit = *ParseCommit(*publisher.repo.ReadMetadata(ObjectType::kCommit, checksum));
  Scan scan = *ScanCommit(publisher.repo, checksum);
  std::set<Digest> kept;
  for (const MetadataObject& object : scan.tree.metadata) {
    CHECK(Sha256::Of(AsBytes(object.bytes)) == object.checksum);
    kept.insert(object.checksum);
  }
  std::vector<Digest> left_out;
  for (const ObjectSize& object : commit.sizes) {
    if (object.type != ObjectType::kFile && !kept.contains(object.checksum)) {
      left_out.push_back(object.checksum);
    }
  }
  CHECK(left_out.size() == 2);  // the dirtrees of / and /boot
  CHECK(kept.contains(commit.root_dirmeta));
  CHECK_FALSE(kept.contains(commit.root_dirtree));
}

TEST_CASE("a directory that no commit can hold is refused by path") {
  TempDir temp;
  WriteText(temp / "boot/hostos.efi", "uki");
  REQUIRE(ScanDirectory(temp.path()));
  WriteText(temp / "boot/vmlinuz", "kernel");
  CHECK(ScanDirectory(temp.path()).error().message.contains("'vmlinuz'"));
  std::filesystem::remove(temp / "boot/vmlinuz");
  std::filesystem::create_directory(temp / "dev");
  REQUIRE(::mknod((temp / "dev/null").c_str(), S_IFCHR | 0666, makedev(1, 3)) == 0);
  auto device = ScanDirectory(temp.path());
  REQUIRE_FALSE(device);
  CHECK(device.error().code == Code::kNotSupported);
  CHECK(device.error().message.contains("/dev/null"));
}

// Hostile trees --------------------------------------------------------------------------------

GVariant* Sum(const Digest& digest) {
  return NewByteArray({reinterpret_cast<const char*>(digest.bytes.data()), 32});
}

struct Names {
  std::vector<std::string> files, directories;
};

struct Hostile {
  Publisher publisher;
  Repo repo = InitBare(publisher.directory / "bare");
  Digest dirmeta = PutObject(
      repo.path(), SerializeDirmeta({.uid = 0, .gid = 0, .mode = S_IFDIR | 0755, .xattrs = {}}),
      "dirmeta");
  Digest empty = PutObject(repo.path(), SerializeDirtree({}), "dirtree");
  FileObject file = File();

  FileObject File() {
    FileObject made;
    made.metadata.mode = S_IFREG | 0644;
    made.checksum = StartContentChecksum(made).Finish();
    WriteText(repo.path() + "/" + ObjectPath(made.checksum, "file"), "");
    return made;
  }

  Digest Dirtree(const Names& names, const Digest& below) {
    GVariantBuilder files, directories;
    g_variant_builder_init(&files, G_VARIANT_TYPE("a(say)"));
    g_variant_builder_init(&directories, G_VARIANT_TYPE("a(sayay)"));
    for (const std::string& name : names.files) {
      g_variant_builder_add(&files, "(s@ay)", name.c_str(), Sum(file.checksum));
    }
    for (const std::string& name : names.directories) {
      g_variant_builder_add(&directories, "(s@ay@ay)", name.c_str(), Sum(below), Sum(dirmeta));
    }
    auto variant = VariantRef::Retain(g_variant_new(
        "(@a(say)@a(sayay))", g_variant_builder_end(&files), g_variant_builder_end(&directories)));
    return PutObject(repo.path(), VariantBytes(variant.get()), "dirtree");
  }

  Result<Scan> ScanRoot(const Digest& root) {
    std::string commit = *BuildCommit(
        {.release = publisher.Describe("1.0"), .root_dirtree = root, .root_dirmeta = dirmeta});
    return ScanCommit(repo, PutObject(repo.path(), commit, "commit"));
  }
};

TEST_CASE("names that no file system could hold are not trusted, naming the dirtree") {
  Hostile hostile;
  REQUIRE(hostile.ScanRoot(hostile.Dirtree({{"a", "b"}, {"c"}}, hostile.empty)));
  const std::vector<Names> bad = {
      {{""}, {}},
      {{"."}, {}},
      {{".."}, {}},
      {{"a/b"}, {}},
      {{std::string(256, 'n')}, {}},
      {{}, {"../etc"}},
      {{"b", "a"}, {}},  // not sorted
      {{"a", "a"}, {}},  // twice
      {{}, {"x", "x"}},  // twice
      {{"a"}, {"a"}},    // file and directory
  };
  for (size_t i = 0; i < bad.size(); ++i) {
    CAPTURE(i);
    Digest root = hostile.Dirtree(bad[i], hostile.empty);
    auto scan = hostile.ScanRoot(root);
    REQUIRE_FALSE(scan);
    CHECK(scan.error().code == Code::kNotTrusted);
    CHECK(scan.error().message.contains("dirtree " + root.Hex()));
  }
}

TEST_CASE("a tree deeper than 64 levels or wider than a million entries is not trusted") {
  Hostile hostile;
  Digest deep = hostile.empty;
  for (int i = 0; i < 63; ++i) deep = hostile.Dirtree({{}, {"d"}}, deep);
  CHECK(hostile.ScanRoot(deep));
  deep = hostile.Dirtree({{}, {"d"}}, hostile.Dirtree({{}, {"d"}}, deep));
  CHECK(hostile.ScanRoot(deep).error().message.contains("64 levels"));

  // Two objects that expand to more than a million paths.
  Names thousand;
  for (int i = 0; i < 1000; ++i) thousand.files.push_back(std::format("{:03}", i));
  Names directories{.files = {}, .directories = thousand.files};
  Digest wide = hostile.Dirtree(directories, hostile.Dirtree(thousand, hostile.empty));
  auto scan = hostile.ScanRoot(wide);
  REQUIRE_FALSE(scan);
  CHECK(scan.error().code == Code::kNotTrusted);
  CHECK(scan.error().message.contains("1000000"));
}

TEST_CASE("metadata of a wrong type, and an object that is missing or altered, are not accepted") {
  Hostile hostile;
  hostile.dirmeta = PutObject(
      hostile.repo.path(),
      SerializeDirmeta({.uid = 0, .gid = 0, .mode = S_IFREG | 0755, .xattrs = {}}), "dirmeta");
  CHECK(hostile.ScanRoot(hostile.empty).error().code == Code::kNotTrusted);

  Hostile altered;
  Digest root = altered.Dirtree({{"a"}, {}}, altered.empty);
  const std::string path = altered.repo.path() + "/" + ObjectPath(root, "dirtree");
  WriteText(path, SerializeDirtree({}));
  auto scan = altered.ScanRoot(root);
  REQUIRE_FALSE(scan);
  CHECK(scan.error().code == Code::kNotTrusted);
  CHECK(scan.error().message.contains(root.Hex()));
  std::filesystem::remove(path);
  CHECK(altered.ScanRoot(root).error().code == Code::kNotFound);
}

TEST_CASE("xattrs out of limits are not trusted") {
  Metadata metadata{.uid = 0, .gid = 0, .mode = S_IFDIR | 0755, .xattrs = {}};
  metadata.xattrs = {{"user.a", ""}, {"user.b", std::string(kMaxXattrBytes, 'x')}};
  CHECK(ParseDirmeta(SerializeDirmeta(metadata))->xattrs == metadata.xattrs);
  metadata.xattrs[1].value += "x";
  CHECK_FALSE(ParseDirmeta(SerializeDirmeta(metadata)));
  metadata.xattrs = {{"user.b", ""}, {"user.a", ""}};
  CHECK_FALSE(ParseDirmeta(SerializeDirmeta(metadata)));
  metadata.xattrs = {{"user.a", ""}, {"user.a", ""}};
  CHECK_FALSE(ParseDirmeta(SerializeDirmeta(metadata)));
  metadata.xattrs.clear();
  for (char c = '!'; metadata.xattrs.size() <= kMaxXattrs; ++c) {
    metadata.xattrs.push_back({std::string("user.") + c, ""});
  }
  CHECK_FALSE(ParseDirmeta(SerializeDirmeta(metadata)));
}

}  // namespace
}  // namespace hostos
