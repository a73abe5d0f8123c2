#include "images/root_tree.h"

#include <catch2/catch_test_macros.hpp>
#include <filesystem>

#include "tests/images/small_release.h"

using namespace hostos;

TEST_CASE("a root says its version, its kernel and its installed packages") {
  const SmallRelease small;
  const auto root = InspectRootTree(small / "root");
  REQUIRE(root);
  CHECK(root->image_version == "1.0.0");
  CHECK(root->kernel_version == "6.12.0-small");
  CHECK(root->kernel == small / "root/usr/lib/modules/6.12.0-small/vmlinuz");
  CHECK(root->packages ==
        std::vector<std::pair<std::string, std::string>>{{"alpha", "1:1.0"}, {"zeta", "2-1"}});
}

TEST_CASE("a root without a kernel, or with two, is refused") {
  const SmallRelease small;
  const std::string modules = small / "root/usr/lib/modules";
  WriteText(modules + "/6.13.0-other/vmlinuz", "kernel");
  const auto two = InspectRootTree(small / "root");
  REQUIRE_FALSE(two);
  CHECK(two.error().message.contains("expected one kernel, found two"));

  std::filesystem::remove(modules + "/6.13.0-other/vmlinuz");
  CHECK(InspectRootTree(small / "root"));
  std::filesystem::remove(modules + "/6.12.0-small/vmlinuz");
  const auto none = InspectRootTree(small / "root");
  REQUIRE_FALSE(none);
  CHECK(none.error().message.contains("found none"));

  std::filesystem::remove_all(modules);
  const auto no_modules = InspectRootTree(small / "root");
  REQUIRE_FALSE(no_modules);
  CHECK(no_modules.error().message.contains(modules));
}

TEST_CASE("a root that does not say its version is refused") {
  const SmallRelease small;
  WriteText(small / "root/usr/lib/os-release", "ID=hostos\n#IMAGE_VERSION=1.0.0\n");
  const auto root = InspectRootTree(small / "root");
  REQUIRE_FALSE(root);
  CHECK(root.error().message.contains("has no IMAGE_VERSION"));
}

TEST_CASE("a root that the loader would not sort with the releases is refused") {
  const SmallRelease small;
  for (const char* id : {"", "IMAGE_ID=other\n"}) {
    WriteText(small / "root/usr/lib/os-release",
              std::string("ID=debian\n") + id + "IMAGE_VERSION=1.0.0\n");
    const auto root = InspectRootTree(small / "root");
    REQUIRE_FALSE(root);
    CHECK(root.error().message.contains("expected IMAGE_ID=hostos"));
  }
}
