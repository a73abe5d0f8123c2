#include "images/uki.h"

#include <catch2/catch_test_macros.hpp>

#include "bootctl/uki.h"
#include "images/commit_release.h"
#include "tests/images/small_release.h"
#include "updater/base/unique_fd.h"

using namespace hostos;

TEST_CASE("the kernel command line binds the root hash, and what is appended cannot change that") {
  Digest hash;
  hash.bytes.fill(0xab);
  const auto line = KernelCommandLine(hash, "quiet rootfstype=ext4");
  REQUIRE(line);
  CHECK(RootHashOf(*line) == hash);
  CHECK(line->contains(" panic=5 "));
  CHECK(line->contains(" fsck.repair=yes "));
  CHECK(line->contains(" systemd.verity_root_options=panic-on-corruption "));
  CHECK(line->ends_with(" quiet rootfstype=ext4"));
  for (const char* bad :
       {"roothash=00", "quiet root=/dev/sda1", "quiet roothash=00", "a\nb", "\xc3\xa4"}) {
    const auto refused = KernelCommandLine(hash, bad);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::kUsage);
  }
}

TEST_CASE(
    "the rescue sorts after the releases, boots no root hash, and is the same when made again") {
  const SmallRelease small;
  const std::string rescue = small.MakeRescue();
  const auto file = Open(rescue, O_RDONLY);
  REQUIRE(file);
  const auto uki = ReadUki(file->get());
  REQUIRE(uki);
  REQUIRE(*uki);
  CHECK((*uki)->sort_key == "hostos-rescue");
  CHECK((*uki)->version == "1.0.0");
  CHECK_FALSE((*uki)->root_hash);
  CHECK(RescueCommandLine().contains("hostos.rescue "));
  CHECK(RescueCommandLine().contains(" panic=5 "));
  CHECK(RescueCommandLine().contains(" fsck.repair=yes "));
  const std::string bytes = ReadText(rescue);
  CHECK(ReadText(small.MakeRescue()) == bytes);
}

TEST_CASE("what is no rescue is refused") {
  const SmallRelease small;
  const std::string output = small / "other.efi";
  auto refuses = [&](const std::string& id, const std::string& command_line,
                     const std::string& architecture, const std::string& message) {
    WriteText(small / "os-release", "IMAGE_ID=" + id + "\nIMAGE_VERSION=1.0.0\n");
    REQUIRE(BuildUki({.kernel = small / "root/usr/lib/modules/6.12.0-small/vmlinuz",
                      .kernel_version = "6.12.0-small",
                      .initrd = small / "initrd",
                      .os_release = small / "os-release",
                      .stub = "",
                      .architecture = "x86-64",
                      .command_line = command_line},
                     output));
    const auto file = Open(output, O_RDONLY);
    REQUIRE(file);
    const auto checked = ReadRescueUki(file->get(), architecture);
    return !checked && checked.error().code == Code::kNotTrusted &&
           checked.error().message.contains(message);
  };
  const std::string hash(64, 'a');
  CHECK_FALSE(refuses("hostos-rescue", "hostos.rescue", "x86-64", ""));
  CHECK(refuses("hostos-rescue", "roothash=" + hash, "x86-64", "boots root hash " + hash));
  CHECK(refuses("hostos", "hostos.rescue", "x86-64", "calls itself \"hostos\""));
  CHECK(refuses("hostos-rescue", "hostos.rescue", "arm64", "PE machine"));
}

TEST_CASE("a unified kernel image is refused for another release") {
  const SmallRelease small;
  CommitOptions options = small.Options();
  options.uki_out = small / "hostos.efi";
  const auto release = small.Commit(options);
  REQUIRE(release);
  const auto file = Open(options.uki_out, O_RDONLY);
  REQUIRE(file);
  CHECK(CheckUki(file->get(), *release));

  auto refuses = [&](const Release& other) {
    const auto checked = CheckUki(file->get(), other);
    return !checked && checked.error().code == Code::kNotTrusted;
  };
  Release other = *release;
  other.root_hash.bytes[31] ^= 1;
  CHECK(refuses(other));
  other = *release;
  other.version = "1.0.1";
  CHECK(refuses(other));
  other = *release;
  other.architecture = "arm64";
  CHECK(refuses(other));
}
