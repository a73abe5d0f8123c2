// The xattr body of an erofs inode: all of the inode's extended attributes, inline. POSIX ACLs keep
// the value that getxattr(2) gives, which is what the kernel reads back from erofs.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "updater/base/result.h"
#include "updater/base/tree.h"

namespace hostos::erofs {

// Bytes of the body, a multiple of four; 0 without xattrs. kNotSupported names the xattr that erofs
// cannot hold, kFailed the one out of order.
Result<size_t> XattrBodySize(const std::vector<Xattr>& xattrs);

// The body itself, for xattrs that XattrBodySize accepted.
std::string XattrBody(const std::vector<Xattr>& xattrs);

}  // namespace hostos::erofs
