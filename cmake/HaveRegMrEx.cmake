# SPDX-License-Identifier: MIT
# Does this libibverbs have ibv_reg_mr_ex() with DMA handles? Sets P2PDMA_HAVE_REG_MR_EX.

set(CMAKE_REQUIRED_LIBRARIES PkgConfig::IBVERBS)
check_c_source_compiles("
#include <infiniband/verbs.h>
int main(void)
{
    struct ibv_mr_init_attr attr = {
        .comp_mask = IBV_REG_MR_MASK_FD | IBV_REG_MR_MASK_FD_OFFSET | IBV_REG_MR_MASK_IOVA |
                     IBV_REG_MR_MASK_DMAH,
        .dmah = 0,
    };
    return ibv_reg_mr_ex(0, &attr) != 0;
}
" P2PDMA_HAVE_REG_MR_EX)
unset(CMAKE_REQUIRED_LIBRARIES)
