#include "tests/source/release_fixture.h"

#include <sys/mman.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <random>
#include <stdexcept>

#include "images/pack_release.h"
#include "images/publish/build_commit.h"
#include "images/publish/publish.h"
#include "images/publish/scan_directory.h"
#include "images/publish/secret_key.h"
#include "tests/held.h"
#include "tests/noise.h"
#include "updater/release/commit.h"
#include "updater/seal/seal.h"
#include "updater/source/archive.h"
#include "updater/source/scan.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

void Check(bool good, const std::string& what) {
  if (!good) throw std::runtime_error(what);
}

void SetXattr(const std::string& path, const char* name, std::string_view value) {
  Check(::lsetxattr(path.c_str(), name, value.data(), value.size(), 0) == 0, "lsetxattr " + path);
}

// Tests do not survive a power cut, so their publisher need not either.
Repo MakeArchive(const std::string& path) {
  Held(Repo::CreateArchive(path));
  Shell("ostree config --repo=" + path + " set core.fsync false");
  return Held(Repo::Open(path));
}

}  // namespace

void MakeOddTree(const std::string& path) {
  auto at = [&](const std::string& name) { return path + "/" + name; };
  for (const char* directory : {"boot", "dev", "tmp", "usr/bin", "usr/lib/deep/er", "foo", "var"}) {
    fs::create_directories(at(directory));
  }
  WriteText(at("usr/bin/tool"), "#!/bin/sh\n");
  fs::create_hard_link(at("usr/bin/tool"), at("usr/bin/linked"));
  WriteText(at("usr/lib/equal"), "#!/bin/sh\n");    // another inode, the same object
  WriteText(at("usr/lib/private"), "#!/bin/sh\n");  // the same content, another mode
  fs::permissions(at("usr/lib/private"), fs::perms{0600});
  WriteText(at("usr/bin/su"), "setuid");
  fs::permissions(at("usr/bin/su"), fs::perms{04755});
  fs::permissions(at("tmp"), fs::perms{01777});
  WriteText(at("usr/lib/empty"), "");
  WriteText(at("usr/lib/sparse"), "begin");
  fs::resize_file(at("usr/lib/sparse"), 1 << 20);
  fs::create_symlink("usr/bin", at("bin"));
  fs::create_symlink("/nowhere/at/all", at("usr/lib/dangling"));
  // As bytes: "foo" < "foo-bar" < "foo.txt" < "foo/" never holds, "Z" < "a", and UTF-8 comes last.
  for (const char* name : {"foo-bar", "foo.txt", "fo", "Z", "a", "\xc3\xa9t\xc3\xa9"}) {
    WriteText(at(name), name);
  }
  WriteText(at("usr/lib/" + std::string(255, 'n')), "long");
  WriteText(at("usr/lib/deep/er/owned"), "owned");
  Check(::chown(at("usr/lib/deep/er/owned").c_str(), 1234, 70000) == 0, "chown");
  Check(::lchown(at("usr/lib/dangling").c_str(), 12, 34) == 0, "lchown");
  SetXattr(at("usr/lib/deep/er/owned"), "user.b", std::string_view("\0\1\2", 3));
  SetXattr(at("usr/lib/deep/er/owned"), "user.a", "");
  SetXattr(at("usr/lib/deep"), "user.directory", "yes");
  // cap_net_bind_service=ep, as setcap writes it (vfs_cap_data, revision 2).
  SetXattr(at("usr/bin/tool"), "security.capability",
           std::string_view("\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20));
}

void AddFiles(const std::string& tree, const std::string& name, int count, unsigned seed) {
  std::mt19937 random(seed);
  for (int i = 0; i < count; ++i) {
    const std::string content = Noise(10'000 + random() % 40'000, random());
    WriteText(std::format("{}/usr/lib/{}/{}/file-{}", tree, name, i % 10, i), content);
  }
}

Repo InitBare(const std::string& path) {
  Run("ostree init --mode=bare --repo=" + path);
  return Held(Repo::Open(path));
}

std::string Signed(std::span<const SecretKey> keys, std::string_view data) {
  std::vector<Signature> signatures;
  for (const SecretKey& key : keys) signatures.push_back(Held(key.Sign(data)));
  return Held(AddSignatures("", signatures));
}

Publisher::Publisher()
    : path(directory / "archive"),
      repo(MakeArchive(path)),
      root(path + "/metadata/1.root.json"),
      key(Held(SecretKey::GenerateHybrid())),
      keys(directory / "keys"),
      metadata(Held(TufRepository::Create(path, kNow))) {
  WriteText(keys + "/release.pub", "# the publisher\n" + Held(PublicText(key)));
  const RoleChange mine = {.keys = {Held(key.front().Public())}, .threshold = {}, .days = {}};
  Held(metadata.StageRoot(
      {{"root", mine}, {"targets", mine}, {"snapshot", mine}, {"timestamp", mine}}));
  Held(metadata.Sign(key));
}

Release Publisher::Describe(const std::string& version, const std::string& content) {
  const std::string uki = content.empty() ? "MZ the kernel of " + version : content;
  WriteText(directory / "uki", uki);
  Release release;
  release.version = version;
  release.architecture = "x86-64";
  release.channel = "stable";
  release.timestamp = 1'700'000'000;
  release.seal_format = 1;
  release.root_hash = Sha256::Of(AsBytes("root of " + version));
  release.image_size = 4096;
  release.verity_size = 8192;
  release.uki_digest = Sha256::Of(AsBytes(uki));
  release.uki_size = uki.size();
  release.packages = {{"base-files", "13"}, {"linux", "6.12"}};
  return release;
}

Digest Publisher::Publish(const std::string& tree, const std::string& version,
                          const std::string& uki) {
  Release release = Describe(version, uki);
  const Scan scan = Held(ScanDirectory(tree));
  const UniqueFd image(::memfd_create("image", MFD_CLOEXEC)),
      verity(::memfd_create("verity", MFD_CLOEXEC));
  const Sealed sealed = Held(Seal(scan.tree, *scan.content, image.get(), verity.get(), {}));
  release.root_hash = sealed.root_hash;
  release.image_size = sealed.size.image;
  release.verity_size = sealed.size.verity;
  return Publish(tree, release, key);
}

Digest Publisher::Publish(const std::string& tree, const Release& release,
                          std::span<const SecretKey> signers) {
  Release committed = release;
  committed.commit = Held(CommitTree(repo, Held(ScanDirectory(tree)),
                                     {.uki = directory / "uki", .release = release}, signers));
  Announce(TargetOf(committed));
  return committed.commit;
}

ReleaseTarget Publisher::Announce(ReleaseTarget release) {
  (void)metadata.StageWithdrawal(release.product, release.architecture, release.channel,
                                 release.version);
  const ReleaseTarget announced = Held(metadata.StageRelease(std::move(release)));
  Held(metadata.Sign(key));
  return announced;
}

Commit Publisher::CommitOf(const std::string& version) const {
  const Digest commit = Held(repo.ResolveRef(ReleaseRef("x86-64", version)));
  return Held(repo.ReadCommit(commit));
}

void Publisher::Pack(const std::string& from, const std::string& to) {
  NoProgress progress;
  Held(PackRelease(
      {.repo = path, .architecture = "x86-64", .version = to, .from = {from}, .level = 3},
      progress));
  AnnouncePacks(to);
}

void Publisher::AnnouncePacks(const std::string& version) {
  ReleaseTarget target = TargetOf(CommitOf(version).release);
  target.packs = Held(PacksFor(path, target.root_hash));
  Announce(target);
}

std::string Publisher::ObjectPath(const Digest& checksum, const std::string& extension) const {
  return path + "/" + hostos::ObjectPath(checksum, extension);
}

std::string Bomb() {
  Publisher publisher;
  const std::string tree = publisher.directory / "tree";
  fs::create_directories(tree + "/boot");
  WriteText(tree + "/zeros", "");
  fs::resize_file(tree + "/zeros", 64 << 20);
  publisher.Publish(tree, "1.0");
  const Digest zeros = Held(ScanDirectory(tree)).tree.files.at(0).checksum;
  return ReadText(publisher.ObjectPath(zeros, "filez"));
}

Digest PutObject(const std::string& repository, std::string_view bytes,
                 const std::string& extension) {
  Digest digest = Sha256::Of(AsBytes(bytes));
  std::string hex = digest.Hex();
  WriteText(
      std::format("{}/objects/{}/{}.{}", repository, hex.substr(0, 2), hex.substr(2), extension),
      bytes);
  return digest;
}

}  // namespace hostos
