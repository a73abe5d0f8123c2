#include "images/rescue.h"

#include <sys/stat.h>

#include <filesystem>

#include "bootctl/entry_name.h"
#include "bootctl/uki.h"
#include "images/root_tree.h"
#include "images/tree_files.h"
#include "images/uki.h"
#include "images/work_directory.h"
#include "updater/base/atomic_file.h"
#include "updater/base/unique_fd.h"

namespace hostos {

namespace fs = std::filesystem;

namespace {

// Replaces an image by its parts.
Result<> TakeApart(const std::string& tree, const std::string& path, const std::string& parts) {
  const std::string image = TRY(ReadFile(path, kMaxBootImage));
  std::string text = WriteImageHeader(Sha256::Of(AsBytes(image)));
  uint64_t at = 0;
  for (const FileFinder::Found& file : TRY(FindTreeFiles(tree, image))) {
    text += WriteImagePart(std::string_view(image).substr(at, file.offset - at), file.name);
    at = file.offset + file.size;
  }
  text += WriteImagePart(std::string_view(image).substr(at), "");
  TRY(WriteFileAtomically(parts, text));
  return PublishFile(parts, path);
}

}  // namespace

Result<std::optional<UniqueFd>> OpenRescue(const std::string& tree, const std::string& work) {
  const OpenPart open = PartsOf(tree);
  Result<UniqueFd> file = open(std::string(kRescuePath));
  if (!file && file.error().code == Code::kNotFound) return std::nullopt;
  UniqueFd parts = TRY(std::move(file));
  return OpenImage(std::move(parts), kMaxBootImage, open, work);
}

Result<> MakeRescue(const RescueOptions& options) {
  const RootTree root = TRY(InspectRootTree(options.tree));
  const bool in_tree = options.output.empty();
  const std::string output = in_tree ? options.tree + std::string(kRescuePath) : options.output;
  // The work directory lies outside the tree, so that an interruption leaves nothing in the tree.
  const WorkDirectory work = TRY(WorkDirectory::Beside(in_tree ? options.tree : output));
  const std::string os_release = work / "os-release", uki = work / "rescue.efi";
  // In os-release the last value of a repeated name counts.
  const std::string released = TRY(ReadFile(root.os_release));
  TRY(WriteFileAtomically(
      os_release, std::format("{}\nIMAGE_ID={}\nPRETTY_NAME=\"HostOS {} (rescue)\"\n", released,
                              kRescueId, root.image_version)));
  TRY(BuildUki({.kernel = root.kernel,
                .kernel_version = root.kernel_version,
                .initrd = options.initrd,
                .os_release = os_release,
                .stub = options.stub,
                .architecture = options.architecture,
                .command_line = RescueCommandLine()},
               uki));
  UniqueFd file = TRY(Open(uki, O_RDONLY));
  TRY(ReadRescueUki(file.get(), options.architecture));
  if (in_tree) {
    TRY(TakeApart(options.tree, uki, work / "parts"));
    file = TRY(Open(uki, O_RDONLY));
  }
  // It becomes part of a tree, so its mode must not depend on who makes it.
  if (::fchmod(file.get(), 0644) < 0) return FailErrno(uki);
  TRY(MakeDirectories(fs::path(output).parent_path()));
  return PublishFile(uki, output);
}

}  // namespace hostos
