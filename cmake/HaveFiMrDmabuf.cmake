# SPDX-License-Identifier: MIT
# Is there a libfabric that registers DMABUFs (1.20 and later)? Sets P2PDMA_HAVE_FI_MR_DMABUF.

pkg_check_modules(LIBFABRIC IMPORTED_TARGET libfabric)
if(LIBFABRIC_FOUND)
    set(CMAKE_REQUIRED_LIBRARIES PkgConfig::LIBFABRIC)
    check_c_source_compiles("
#include <rdma/fi_domain.h>
int main(void)
{
    struct fi_mr_dmabuf dmabuf = { .fd = -1 };
    struct fi_mr_attr attr = { .dmabuf = &dmabuf, .iov_count = 1 };
    struct fid_mr *mr;
    return fi_mr_regattr(0, &attr, FI_MR_DMABUF, &mr);
}
" P2PDMA_HAVE_FI_MR_DMABUF)
    unset(CMAKE_REQUIRED_LIBRARIES)
endif()
