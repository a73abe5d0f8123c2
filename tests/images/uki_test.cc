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
  CHECK(line->contains(" systemd.verity_root_options=panic-on-corruption "));
  CHECK(line->ends_with(" quiet rootfstype=ext4"));
  for (const char* bad :
       {"roothash=00", "quiet root=/dev/sda1", "quiet roothash=00", "a\nb", "\xc3\xa4"}) {
    const auto refused = KernelCommandLine(hash, bad);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::kUsage);
  }
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
