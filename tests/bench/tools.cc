#include "tests/bench/tools.h"

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "tests/vm/process.h"
#include "updater/base/atomic_file.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// The object files of a commit's tree, below objects/: "xx/yyyy.filez". `ostree ls -RC` prints one
// line per path: type and mode, owner, group, size, one checksum (two for a directory), path.
Result<std::set<std::string>> ObjectsOf(const std::string& repo, const Digest& commit,
                                        const std::string& log) {
  const std::string list = log + ".ls";
  std::error_code ignored;
  fs::remove(list, ignored);  // Process appends
  TRY(Process::Run({"ostree", "--repo=" + repo, "ls", "-RC", commit.Hex()}, list));
  std::set<std::string> objects;
  std::ifstream lines(list);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string mode, owner, group, size, first, second;
    fields >> mode >> owner >> group >> size >> first >> second;
    auto add = [&](const std::string& hex, const char* suffix) {
      objects.insert(hex.substr(0, 2) + "/" + hex.substr(2) + suffix);
    };
    if (first.size() != 64)
      return Fail(Code::kFailed, "ostree ls: expected a checksum, found \"{}\"", line);
    const bool directory = mode.starts_with('d');
    add(first, directory ? ".dirtree" : ".filez");
    if (directory) add(second, ".dirmeta");
  }
  return objects;
}

}  // namespace

Result<std::map<std::string, Cost>> RunTools(const Releases& releases, const std::string& url,
                                             const std::string& directory) {
  const std::string log = directory + "/log", repo = directory + "/repo";
  const std::string tree = directory + "/tree", image = directory + "/image";
  TRY(MakeDirectories(directory));
  TRY(Process::Run({"ostree", "--repo=" + repo, "init", "--mode=bare"}, log));
  TRY(Process::Run({"ostree", "--repo=" + repo, "config", "set", "core.parent", releases.parent},
                   log));
  // Debian's ostree is built without ed25519, so it skips the signature.
  TRY(Process::Run({"ostree", "--repo=" + repo, "remote", "add", "--no-gpg-verify", "hostos", url},
                   log));

  std::map<std::string, Cost> costs;
  costs["ostree pull"] = TRY(
      MeasureProgram({"ostree", "--repo=" + repo, "pull", "hostos", "hostos/x86-64/stable"}, log));
  TRY(Process::Run({"ostree", "--repo=" + releases.repo, "checkout", releases.to.Hex(), tree},
                   log));
  std::error_code ignored;
  fs::remove(tree + "/boot/hostos.efi", ignored);  // not part of the image
  costs["mkfs.erofs"] = TRY(MeasureProgram({"mkfs.erofs", "--quiet", image, tree}, log));
  costs["veritysetup format"] =
      TRY(MeasureProgram({"veritysetup", "format", image, directory + "/verity"}, log));
  costs["dd conv=fsync"] = TRY(MeasureProgram(
      {"dd", "if=" + image, "of=" + directory + "/slot", "bs=1M", "conv=fsync"}, log));
  return costs;
}

Result<uint64_t> MissingObjectBytes(const Releases& releases, const std::string& log) {
  const std::set<std::string> has = TRY(ObjectsOf(releases.repo, releases.from, log));
  std::set<std::string> missing = TRY(ObjectsOf(releases.repo, releases.to, log));
  for (const std::string& object : has) missing.erase(object);
  const std::string hex = releases.to.Hex();
  for (const char* suffix : {".commit", ".commitmeta"})
    missing.insert(hex.substr(0, 2) + "/" + hex.substr(2) + suffix);

  uint64_t bytes = 0;
  for (const std::string& object : missing) {
    std::error_code error;
    bytes += fs::file_size(releases.repo + "/objects/" + object, error);
    if (error) return Fail(Code::kFailed, "{}: {}", object, error.message());
  }
  return bytes;
}

}  // namespace hostos
