// Puts an erofs image into bytes, from its first to its last, as laid out before.
#pragma once

#include "updater/base/result.h"
#include "updater/base/tree.h"
#include "updater/seal/image_stream.h"
#include "updater/seal/inodes.h"
#include "updater/seal/layout.h"

namespace hostos::erofs {

// Opens every regular file once and reads it from its start to its end. kFailed names the path and
// the object whose content is not what the tree says.
Result<> WriteImage(const Inodes& inodes, const Layout& layout, ContentReader& content,
                    ImageStream& stream);

}  // namespace hostos::erofs
