#include "images/released_base.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <sstream>
#include <vector>

#include "bootctl/uki.h"
#include "images/program.h"
#include "images/reseal.h"
#include "images/sbom/cpio.h"
#include "images/tree_files.h"
#include "images/uki.h"
#include "updater/base/atomic_file.h"
#include "updater/base/text.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

constexpr std::string_view kZstd = "\x28\xb5\x2f\xfd";

// Not compressed, as a base has it.
Result<> TakeInitrd(const std::string& image, const std::string& to) {
  TRY(RunProgram({"objcopy", "-O", "binary", "--only-section=.initrd", image, to}));
  std::string magic(kZstd.size(), '\0');
  const UniqueFd file = TRY(Open(to, O_RDONLY));
  TRY(ReadFull(file.get(), std::as_writable_bytes(std::span(magic))));
  if (magic == kZstd) {
    TRY(RunProgram({"zstd", "-q", "-d", "--rm", to, "-o", to + ".plain"}));
    if (::rename((to + ".plain").c_str(), to.c_str()) < 0) return FailErrno(to);
  }
  if (::chmod(to.c_str(), 0644) < 0) return FailErrno(to);
  return {};
}

// The words of the command line that this program would not put there by itself.
Result<std::string> ArgumentsOf(const std::string& image, const Release& release) {
  const UniqueFd file = TRY(Open(image, O_RDONLY));
  const std::string line = TRY(ReadUkiOf(file.get(), release)).command_line,
                    ours = TRY(KernelCommandLine(release.root_hash, ""));
  const auto words = [](const std::string& text) {
    std::istringstream stream(text);
    return std::vector<std::string>(std::istream_iterator<std::string>(stream), {});
  };
  const std::vector<std::string> known = words(ours);
  std::vector<std::string> own = words(line);
  std::erase_if(own, [&](const std::string& word) { return std::ranges::contains(known, word); });
  return Joined(own, " ");
}

}  // namespace

Result<> FillReleasedBase(const SignedRelease& release, const std::string& directory,
                          Progress& progress) {
  const Release& facts = release.commit.release;
  if (!facts.rescue)
    return Fail(
        Code::kNotSupported,
        "release {}: expected one that brings a rescue, to make that of the new image of it",
        facts.version);
  const std::string uki = directory + "/uki.efi", rescue = directory + "/rescue.efi",
                    tree = directory + "/tree", rescue_initrd = directory + "/rescue-initrd";
  TRY(Reseal(release, {.uki = uki, .rescue = rescue}, progress));
  progress.Begin("copy", tree);
  TRY(RunProgram(
      {"ostree", "checkout", "--repo=" + release.repo.path(), facts.commit.Hex(), tree}));
  TRY(TakeInitrd(uki, directory + "/initrd"));
  TRY(TakeInitrd(rescue, rescue_initrd));
  const std::string arguments = TRY(ArgumentsOf(uki, facts));
  TRY(WriteFileAtomically(directory + "/arguments", arguments));
  // The last archive is hostctl with the keys that it trusts, of the release.
  const uint64_t own = LastArchive(TRY(ReadFile(rescue_initrd, kMaxBootImage)));
  if (own == 0)
    return Fail(
        Code::kNotSupported,
        "release {}: expected a rescue of two archives, as rootfs/build makes it, found one",
        facts.version);
  if (::truncate(rescue_initrd.c_str(), static_cast<off_t>(own)) < 0)
    return FailErrno(rescue_initrd);
  for (const std::string& file : {uki, rescue, tree + "/boot/hostos.efi"})
    if (::unlink(file.c_str()) < 0) return FailErrno(file);
  return WriteFileAtomically(directory + "/epoch", std::format("{}\n", facts.timestamp));
}

}  // namespace hostos
