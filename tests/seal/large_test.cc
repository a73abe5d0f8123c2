// Sizes beyond 4 GiB and many files: what memory they take. Writes 4.3 GB and takes half a minute.
#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <format>
#include <fstream>

#include "tests/seal/judges.h"
#include "tests/seal/test_tree.h"

namespace hostos {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryTells = false;  // a sanitizer's own memory drowns ours
#else
constexpr bool kMemoryTells = true;
#endif

// Resident memory at its highest since the last ResetPeak(), in KiB (proc(5)).
size_t PeakKib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6));
  return 0;
}

void ResetPeak() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

// Content from one file on disk, which may be sparse, for every object.
class OneFile : public ContentReader {
 public:
  explicit OneFile(std::string path) : path_(std::move(path)) {}
  Result<UniqueFd> Open(const FileObject&) override { return hostos::Open(path_, O_RDONLY); }

 private:
  std::string path_;
};

TEST_CASE("a file over 4 GiB is sealed in a few MiB of memory, and read back at its end") {
  TempDir directory;
  constexpr uint64_t kSize = (uint64_t{4} << 30) + 12345;
  std::string source = directory / "source";
  {
    UniqueFd fd = Open(source, O_RDWR | O_CREAT, 0600).value();
    REQUIRE(::ftruncate(fd.get(), kSize) == 0);
    REQUIRE(PwriteFull(fd.get(), AsBytes("the end"), kSize - 7));
  }
  TestTree t;
  t.AddFile(0, "large", "");
  t.tree.files[0].size = kSize;
  OneFile content(source);
  ResetPeak();
  size_t before = PeakKib();
  SealedFiles files = SealInto(directory, "a", t.tree, content);
  {
    UniqueFd image = Open(files.image, O_RDONLY).value(),
             verity = Open(files.verity, O_RDONLY).value();
    CHECK(
        ProveSeal(image.get(), verity.get(), files.sealed.size.image, files.sealed.root_hash, {}));
  }
  if (kMemoryTells) CHECK(PeakKib() - before < 12 * 1024);

  if (!NoMountReason().empty()) return;
  Mount mount(files.image);
  UniqueFd fd = Open(mount.path() + "/large", O_RDONLY).value();
  struct stat status{};
  REQUIRE(::fstat(fd.get(), &status) == 0);
  CHECK(static_cast<uint64_t>(status.st_size) == kSize);
  std::string end(20, '?');
  REQUIRE(PreadFull(fd.get(), std::as_writable_bytes(std::span(end)), kSize - 10).value() == 10);
  CHECK(end.substr(0, 10) == std::string(3, '\0') + "the end");
}

TEST_CASE("100,000 files are sealed in little more memory than their tree takes") {
  TempDir directory;
  std::ofstream(directory / "source") << "content\n";
  TestTree t;
  for (int d = 0; d < 1000; d++) {
    uint32_t parent = t.AddDirectory(0, std::format("d{:04}", d));
    for (int f = 0; f < 100; f++) t.AddFile(parent, std::format("f{:03}", f), "");
  }
  for (FileObject& file : t.tree.files) file.size = 8;
  OneFile content(directory / "source");
  ResetPeak();
  size_t before = PeakKib();
  SealInto(directory, "a", t.tree, content);
  if (kMemoryTells) CHECK(PeakKib() - before < 24 * 1024);
}

}  // namespace
}  // namespace hostos
