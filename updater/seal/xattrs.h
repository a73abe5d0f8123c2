// The xattr body of an erofs inode: all its extended attributes, inline. POSIX ACLs keep the value
// that getxattr(2) returns, which is what the kernel expects from erofs.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "updater/base/result.h"
#include "updater/base/tree.h"

namespace hostos::erofs {

// Bytes of the body, a multiple of four; 0 without xattrs. kNotSupported names an xattr that erofs
// cannot hold, kFailed one that is out of order.
Result<size_t> XattrBodySize(const std::vector<Xattr>& xattrs);

// The body itself, for xattrs that XattrBodySize accepted.
std::string XattrBody(const std::vector<Xattr>& xattrs);

}  // namespace hostos::erofs
