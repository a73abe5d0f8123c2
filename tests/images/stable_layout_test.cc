// Releases whose images are laid out after the one before.
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <format>
#include <set>

#include "images/reseal.h"
#include "tests/images/small_release.h"
#include "tests/noise.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBlock = 4096;

// Three releases: most of their 200 files, in two directories of versions, are the same.
class Chain {
 public:
  Chain() {
    for (const char* large : {"large", "twin"})  // one inode, half of the image
      fs::remove(std::format("{}/{}", small / "root/usr/share", large));
    for (int file = 0; file < 200; file++) Write(file, 1);
    images_.push_back(Commit("1.0.0", ""));
    Change(3, "1.1.0");
    images_.push_back(Commit("1.1.0", "1.0.0"));
    Change(7, "1.2.0");
    images_.push_back(Commit("1.2.0", "1.1.0"));
  }

  const std::string& image(size_t release) const { return images_[release]; }
  SmallRelease small;

  std::string Commit(const std::string& version, const std::string& after) {
    small.SetVersion(version);
    CommitOptions options = small.Options();
    options.after = after;
    options.image_out = small / (version + ".erofs");
    release_ = small.Commit(options).value();
    return ReadFile(options.image_out, 1 << 30).value();
  }
  const Release& release() const { return release_; }

  void Remove(int file) { fs::remove(Path(file)); }

 private:
  std::string Path(int file) const {
    return std::format("{}/{}", small / "root/usr/share/many", file);
  }
  void Write(int file, unsigned seed) {
    WriteText(Path(file), Noise(1000 + file % 7 * 6000, seed * 1000 + static_cast<unsigned>(file)));
  }
  // Every tenth file is another one, some are new, and one is gone.
  void Change(int first, const std::string& version) {
    for (int file = first; file < 200; file += 10) Write(file, static_cast<unsigned>(first));
    for (int file = 0; file < 5; file++) Write(200 + first * 10 + file, 1);
    Remove(first + 1);
    WriteText(small / "root/usr/share/version", version);
  }

  std::vector<std::string> images_;
  Release release_;
};

// Blocks of `to` that `from` has somewhere else, or not at all; and those that it has nowhere.
std::pair<size_t, size_t> Differ(const std::string& to, const std::string& from) {
  std::set<std::string_view> held = {std::string_view(from).substr(0, 0)};
  for (size_t at = 0; at < from.size(); at += kBlock)
    held.insert(std::string_view(from).substr(at, kBlock));
  std::pair<size_t, size_t> differ;
  for (size_t at = 0; at < to.size(); at += kBlock) {
    const std::string_view block = std::string_view(to).substr(at, kBlock);
    if (at >= from.size() || block != std::string_view(from).substr(at, kBlock)) differ.first++;
    if (!held.contains(block)) differ.second++;
  }
  return differ;
}

TEST_CASE("an image that is laid out after another differs from it only where it must") {
  const Chain chain;
  CHECK(chain.release().seal_format == 2);
  for (const auto& [to, from] : {std::pair(1, 0), std::pair(2, 1), std::pair(2, 0)}) {
    const auto [differ, lacking] = Differ(chain.image(to), chain.image(from));
    CAPTURE(to, from, differ, lacking, chain.image(to).size() / kBlock);
    CHECK(lacking > 0);
    CHECK(differ * 2 <= lacking * 3);
  }
}

TEST_CASE("an image that was laid out after another is made again of its commit") {
  const Chain chain;
  const auto release = OpenSignedRelease(chain.small.Query());
  REQUIRE(release);
  NoProgress progress;
  REQUIRE(Reseal(*release,
                 {.image = chain.small / "again.erofs",
                  .verity = chain.small / "again.verity",
                  .uki = chain.small / "again.efi"},
                 progress));
  CHECK(SameFiles(chain.small / "1.2.0.erofs", chain.small / "again.erofs"));
}

TEST_CASE("when gaps take more than an eighth of an image, its layout begins anew") {
  Chain chain;
  const size_t before = chain.image(2).size();
  for (int file = 0; file < 100; file++) chain.Remove(file);
  const std::string smaller = chain.Commit("1.3.0", "1.2.0");
  CHECK(smaller.size() < before * 3 / 4);
  CHECK(chain.release().seal_format == 2);
  CHECK(Differ(smaller, smaller).first == 0);
}

TEST_CASE("a release is laid out only after one that is there") {
  const SmallRelease small;
  CommitOptions options = small.Options();
  options.after = "0.9.0";
  const auto release = small.Commit(options);
  REQUIRE_FALSE(release);
  CHECK(release.error().code == Code::kNotFound);
  CHECK(release.error().message.contains("--after"));
  CHECK(release.error().message.contains("0.9.0"));
}

}  // namespace
}  // namespace hostos
