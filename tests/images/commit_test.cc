#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>

#include "images/commit_release.h"
#include "images/publish/secret_key.h"
#include "images/reseal.h"
#include "images/updatable.h"
#include "tests/images/small_release.h"
#include "tests/source/release_fixture.h"
#include "updater/release/image_parts.h"
#include "updater/release/secret_text.h"
#include "updater/seal/seal.h"

using namespace hostos;

namespace {

namespace fs = std::filesystem;

CommitOptions WithCopies(const SmallRelease& small, const std::string& name) {
  CommitOptions options = small.Options();
  options.repo = small / (name + "-repo");
  options.image_out = small / (name + ".erofs");
  options.verity_out = small / (name + ".verity");
  options.uki_out = small / (name + ".efi");
  return options;
}

// Nothing points at a release, and nothing is left lying about.
void CheckNothingPublished(const SmallRelease& small) {
  if (!fs::exists(small / "repo")) return;
  CHECK(FilesEndingIn(small / "repo/refs", "").empty());
  CHECK(FilesEndingIn(small / "repo/objects", ".commit").empty());
  for (const fs::directory_entry& entry : fs::directory_iterator(small / "repo/tmp"))
    CHECK_FALSE(entry.path().filename().string().starts_with("hostimage"));
}

void CheckRefused(const SmallRelease& small, const CommitOptions& options,
                  const std::string& message) {
  const auto release = small.Commit(options);
  REQUIRE_FALSE(release);
  INFO(release.error().message);
  CHECK(release.error().message.contains(message));
  CheckNothingPublished(small);
}

}  // namespace

TEST_CASE("a release made twice, at another time, has the same image, hash tree and kernel image") {
  const SmallRelease small;
  const CommitOptions first_options = WithCopies(small, "first");
  CommitOptions second_options = WithCopies(small, "second");
  second_options.timestamp += 12345;
  const auto first = small.Commit(first_options);
  REQUIRE(first);
  // Nor do the times of the files matter.
  for (const std::string& file : FilesEndingIn(small / "root", ""))
    fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(100));
  const auto second = small.Commit(second_options);
  REQUIRE(second);
  CHECK(first->root_hash == second->root_hash);
  CHECK(SameFiles(first_options.image_out, second_options.image_out));
  CHECK(SameFiles(first_options.verity_out, second_options.verity_out));
  CHECK(SameFiles(first_options.uki_out, second_options.uki_out));
  CHECK(first->commit != second->commit);
  CHECK(fs::file_size(first_options.image_out) == first->image_size);
  CHECK(fs::file_size(first_options.verity_out) == first->verity_size);

  second_options.repo = small / "third-repo";
  second_options.timestamp = first_options.timestamp;
  const auto third = small.Commit(second_options);
  REQUIRE(third);
  CHECK(third->commit == first->commit);
}

TEST_CASE("a release sealed again from the repository has the bytes it had from the directory") {
  const SmallRelease small;
  CommitOptions options = WithCopies(small, "directory");
  options.repo = small / "repo";
  REQUIRE(small.Commit(options));
  const auto release = OpenSignedRelease(small.Query());
  REQUIRE(release);
  NoProgress progress;
  const auto stats = Reseal(
      *release,
      {.image = small / "repo.erofs", .verity = small / "repo.verity", .uki = small / "repo.efi"},
      progress);
  REQUIRE(stats);
  CHECK(SameFiles(options.image_out, small / "repo.erofs"));
  CHECK(SameFiles(options.verity_out, small / "repo.verity"));
  CHECK(SameFiles(options.uki_out, small / "repo.efi"));
}

TEST_CASE("the signed commit says all there is to know of the release") {
  const SmallRelease small;
  const auto made = small.Commit();
  REQUIRE(made);
  for (const std::string& name :
       {made->commit.Hex(), ChannelRef("x86-64", "stable"), ReleaseRef("x86-64", "1.0.0")}) {
    ReleaseQuery query = small.Query();
    query.name = name;
    const auto release = OpenSignedRelease(query);
    REQUIRE(release);
    const Release& facts = release->commit.release;
    CHECK(facts.commit == made->commit);
    CHECK(facts.version == "1.0.0");
    CHECK(facts.architecture == "x86-64");
    CHECK(facts.channel == "stable");
    CHECK(facts.timestamp == kReleaseTime);
    CHECK(facts.seal_format == 1);
    CHECK(facts.root_hash == made->root_hash);
    CHECK(facts.image_size == made->image_size);
    CHECK(facts.verity_size == made->verity_size);
    CHECK(facts.uki_digest == made->uki_digest);
    CHECK(facts.uki_size == made->uki_size);
    CHECK(facts.packages.size() == 2);
  }
}

TEST_CASE("a release brings the rescue that is in its tree, and says its digest and size") {
  const SmallRelease small;
  const auto without = small.Commit();
  REQUIRE(without);
  CHECK_FALSE(without->rescue);
  const SmallRelease bringing("1.1.0");
  const std::string rescue = bringing.BringRescue();
  CHECK((fs::status(rescue).permissions() & fs::perms::all) == fs::perms(0644));
  REQUIRE(bringing.Commit());
  const auto release = OpenSignedRelease(bringing.Query());
  REQUIRE(release);
  REQUIRE(release->commit.release.rescue);
  // In the tree are its parts: the kernel is there already.
  const std::string image = bringing.MakeRescue();
  CHECK(fs::file_size(rescue) < fs::file_size(image));
  CHECK(release->commit.release.rescue->digest == Sha256::Of(AsBytes(ReadText(image))));
  CHECK(release->commit.release.rescue->size == fs::file_size(image));
  NoProgress progress;
  REQUIRE(Reseal(*release, {.rescue = bringing / "repo.efi"}, progress));
  CHECK(SameFiles(image, bringing / "repo.efi"));
  // Made again it is the same file, and nothing else is in the tree.
  const std::string before = ReadText(rescue);
  CHECK(ReadText(bringing.BringRescue()) == before);
  CHECK(FilesEndingIn(bringing / "root", "rescue.efi").size() == 1);
}

TEST_CASE("a tree with something else in the place of its rescue is refused") {
  const SmallRelease small;
  const std::string place = small / "root" + std::string(kRescuePath);
  WriteText(place, "MZ, but no image");
  CheckRefused(small, small.Options(), "no whole unified kernel image");
  small.BringRescue();
  const std::string parts = ReadText(place);
  fs::resize_file(place, parts.size() / 2);
  CheckRefused(small, small.Options(), "image parts: damaged");
  // The parts of another tree: its kernel is not the one that the image was made with.
  WriteText(place, parts);
  const std::string kernel = FilesEndingIn(small / "root", "vmlinuz").at(0), old = ReadText(kernel);
  ChangeByte(kernel, -1);
  CheckRefused(small, small.Options(), "a file is another than when it was made");
  WriteText(kernel, old);
  // Parts of which one is gone, and an image as releases had it before there were parts.
  WriteText(place, WriteImageHeader({}) + WriteImagePart("MZ", "/usr/lib/gone"));
  CheckRefused(small, small.Options(), "image parts: /usr/lib/gone");
  WriteText(place, ReadText(small.MakeRescue()).substr(0, 5000));
  CheckRefused(small, small.Options(), "no whole unified kernel image");
  fs::remove(place);
  fs::create_symlink(small.MakeRescue(), place);
  CheckRefused(small, small.Options(), "rescue.efi");
}

TEST_CASE("a root that is not the release it is said to be is refused") {
  const SmallRelease small;
  CommitOptions options = small.Options();
  options.version = "1.0.1";
  CheckRefused(small, options, "expected IMAGE_VERSION=1.0.1, found 1.0.0");
  for (const char* name : {"1.0_0", "1.0+0", "", ".1", "1 0", "1/0"}) {
    options.version = name;
    CheckRefused(small, options, "--version: expected");
  }
  options = small.Options();
  options.channel = "a/b";
  CheckRefused(small, options, "--channel: expected");
  options = small.Options();
  options.architecture = "riscv64";
  CheckRefused(small, options, "found \"riscv64\"");
}

TEST_CASE("a root with a device node is refused") {
  const SmallRelease small;
  REQUIRE(::mkfifo((small / "root/etc/pipe").c_str(), 0600) == 0);
  CheckRefused(small, small.Options(), "pipe");
}

TEST_CASE("a root with files in /boot is refused") {
  const SmallRelease small;
  WriteText(small / "root/boot/vmlinuz", "kernel");
  CheckRefused(small, small.Options(), "boot");
}

TEST_CASE("a release whose kernel image cannot be made leaves no trace") {
  const SmallRelease small;
  CommitOptions options = small.Options();
  options.initrd = small / "no-initrd";
  options.image_out = small / "out.erofs";
  CheckRefused(small, options, "ukify ended with exit code");
  for (const fs::directory_entry& entry : fs::directory_iterator(small / "."))
    CHECK_FALSE(entry.path().filename().string().starts_with("out.erofs"));
}

TEST_CASE("what is published under a version stays") {
  const SmallRelease small;
  const auto first = small.Commit();
  REQUIRE(first);
  WriteText(small / "root/etc/more", "more");
  const auto second = small.Commit();
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Code::kRefused);
  const std::string& message = second.error().message;
  CHECK(message.contains("release 1.0.0 is there already, as commit " + first->commit.Hex()));
  const auto release = OpenSignedRelease(small.Query());
  REQUIRE(release);
  CHECK(release->commit.release.commit == first->commit);
  // What it says to do if nobody has it does that.
  REQUIRE(Shell(message.substr(message.find("ostree refs "))).status == 0);
  const auto again = small.Commit();
  REQUIRE(again);
  CHECK(again->commit != first->commit);
}

TEST_CASE("a root with which nodes could not update is refused") {
  const SmallRelease small;
  const std::string keys = small / "root/usr/lib/hostos/keys.d", key = keys + "/ci.pub";
  const std::string root = small / "root/usr/lib/hostos/tuf/root.json";
  const std::string good_key = ReadText(key), good_root = ReadText(root);
  WriteText(key, "no key\n");
  CheckRefused(small, small.Options(), key + ":1: expected a public key");
  fs::rename(key, keys + "/ci.key");
  CheckRefused(small, small.Options(), "expected at least one *.pub file in " + keys);
  fs::remove_all(keys);
  CheckRefused(small, small.Options(), "expected at least one *.pub file in " + keys);
  WriteText(key, good_key);

  // Half of what the nodes' rule asks for.
  const size_t end = good_key.find('\n') + 1;
  const std::string settings = small / "root/usr/lib/hostctl/hostctl.toml";
  const auto with = [&](const std::string& rule) {
    fs::remove(settings);
    if (!rule.empty()) WriteText(settings, "[source]\n" + rule + "\n");
  };
  for (const char* rule : {"", "required_signatures = 1", "signatures = 'hybrid'"}) {
    CAPTURE(rule);
    with(rule);
    WriteText(key, good_key.substr(0, end));
    CheckRefused(small, small.Options(), keys + ": expected keys of ML-DSA-65, at least 1 as");
    WriteText(key, good_key.substr(end));
    CheckRefused(small, small.Options(), keys + ": expected keys of ed25519, at least 1 as");
  }
  with("signatures = 'classical'");
  CheckRefused(small, small.Options(), keys + ": expected keys of ed25519");
  WriteText(key, good_key);
  with("required_signatures = 2");
  CheckRefused(small, small.Options(), keys + ": expected keys of ed25519, at least 2 as");
  for (const char* wrong : {"signatures = 'both'", "signatures ="}) {
    with(wrong);
    CheckRefused(small, small.Options(), settings + ": ");
  }
  WriteText(key, good_key.substr(0, end));
  with("signatures = 'classical'");
  CHECK(CheckUpdatable(small / "root"));
  WriteText(key, good_key);
  with("");

  WriteText(root, "{}");
  CheckRefused(small, small.Options(), "nodes could not update from it: " + root + ": ");
  std::string unsigned_root = good_root;
  const size_t version = unsigned_root.find('1', unsigned_root.find("\"version\""));
  REQUIRE(version != std::string::npos);
  unsigned_root[version] = '2';
  WriteText(root, unsigned_root);
  CheckRefused(small, small.Options(), root + ": root: expected good signatures");
  fs::remove(root);
  CheckRefused(small, small.Options(), root + ": No such file");
  WriteText(root, good_root);
  CHECK(small.Commit());
}

TEST_CASE("a root with a secret key anywhere is refused, and no message has it") {
  const SmallRelease small;
  const std::vector<SecretKey> keys = *SecretKey::GenerateHybrid();
  const auto pem = [&](const std::string& passphrase) {
    const TempDir directory;
    REQUIRE(SecretKey::Save(keys, directory / "key", passphrase));
    return ReadText(directory / "key");
  };
  const std::string secret = pem("");
  // In OSTree's form: what ed25519 is in PKCS#8 ends with the seed.
  const std::string raw =
      Shell("printf %s \"$(printf '%s' '" + secret.substr(0, secret.find("-----END")) +
            "' | grep -v BEGIN | head -n 1 | base64 -d | tail -c 32 | { cat; printf '" +
            keys.front().Public()->Text() + "' | base64 -d; } | base64 -w 0)\"")
          .output;
  REQUIRE(HasSecretKey(raw));
  // Each alone, and one of another kind.
  std::vector<std::string> der;
  const TempDir made;
  for (const char* kind : {"ed25519", "ML-DSA-65", "EC -pkeyopt group:P-256", "RSA"}) {
    const std::string file = made / "key.der";
    REQUIRE(
        Shell(std::format("openssl genpkey -quiet -outform DER -algorithm {} -out {}", kind, file))
            .status == 0);
    der.push_back(ReadText(file));
  }
  REQUIRE(Shell("openssl pkcs8 -topk8 -inform DER -outform DER -passout pass:1234 -in " +
                (made / "key.der") + " -out " + (made / "sealed.der"))
              .status == 0);
  REQUIRE(Shell("openssl pkey -inform DER -in " + (made / "key.der") + " -out " + (made / "key") +
                " && openssl pkcs12 -export -nocerts -passout pass:1234 -inkey " + (made / "key") +
                " -out " + (made / "key.p12"))
              .status == 0);
  // Across the border of what is read at once.
  const std::string far((1 << 20) - 40, 'x');
  const struct {
    const char* file;
    std::string text;
  } cases[] = {{"/usr/lib/hostos/keys.d/release.pem", secret},
               {"/usr/lib/hostos/keys.d/release.pub", secret},
               {"/usr/lib/hostos/keys.d/release.pub", "# the release's\n" + raw + "\n"},
               {"/usr/lib/hostos/keys.d/release.key", raw + "\n"},
               {"/usr/share/doc/sealed", pem("1234")},
               {"/etc/far", far + secret},
               {"/etc/ssl/private/ed25519.der", der[0]},
               {"/usr/lib/hostos/keys.d/pq.key", der[1]},
               {"/usr/share/agent/p256", der[2]},
               {"/usr/share/agent/rsa", der[3]},
               {"/usr/share/agent/sealed", ReadText(made / "sealed.der")},
               {"/usr/share/agent/store", ReadText(made / "key.p12")},
               {"/etc/service.json", "{\"key\": \"-----BEGIN PRIVATE KEY-----\\n" +
                                         secret.substr(secret.find('\n') + 1, 60) + "\"}"}};
  for (const auto& each : cases) {
    CAPTURE(each.file);
    const std::string path = small / "root" + each.file;
    WriteText(path, each.text);
    CheckRefused(small, small.Options(), path + ":");
    const auto refused = small.Commit();
    CHECK(refused.error().message.contains("secret"));
    CHECK_FALSE(refused.error().message.contains(raw.substr(0, 20)));
    CHECK_FALSE(refused.error().message.contains(secret.substr(secret.find('\n') + 1, 20)));
    fs::remove(path);
  }
  // A page and a program that know how a key begins have none, and a library may test itself.
  using namespace std::string_view_literals;
  WriteText(small / "root/usr/share/doc/keys",
            "-----BEGIN OPENSSH PRIVATE KEY-----\n\0-----BEGIN PRIVATE KEY-----\n..."sv);
  WriteText(small / "root/usr/lib/libtls.so",
            "\x7f"
            "ELF" +
                secret);
  CHECK(small.Commit());
}
