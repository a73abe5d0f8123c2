#include "images/rescue.h"

#include "images/root_tree.h"
#include "images/uki.h"
#include "images/work_directory.h"
#include "updater/base/atomic_file.h"
#include "updater/base/unique_fd.h"

namespace hostos {

Result<> MakeRescue(const RescueOptions& options) {
  const RootTree root = TRY(InspectRootTree(options.tree));
  const WorkDirectory work = TRY(WorkDirectory::Beside(options.output));
  const std::string os_release = work / "os-release", uki = work / "rescue.efi";
  // Of a name that is given twice the last value counts.
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
  const UniqueFd file = TRY(Open(uki, O_RDONLY));
  TRY(CheckRescueUki(file.get(), options.architecture));
  return PublishFile(uki, options.output);
}

}  // namespace hostos
