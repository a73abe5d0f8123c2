// Writes an erofs image, from first byte to last, as its layout says.
#pragma once

#include "updater/base/result.h"
#include "updater/base/tree.h"
#include "updater/seal/image_stream.h"
#include "updater/seal/inodes.h"
#include "updater/seal/layout.h"

namespace hostos::erofs {

// Opens every regular file once, and reads it from start to end. If the content is not what the
// tree says, kFailed names the path and the object.
Result<> WriteImage(const Inodes& inodes, const Layout& layout, ContentReader& content,
                    ImageStream& stream);

}  // namespace hostos::erofs
