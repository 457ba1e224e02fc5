# SPDX-License-Identifier: MIT
# Flags that every target of the project gets.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "how to build" FORCE)
endif()

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wshadow -Wconversion -Wvla -Wpointer-arith -Wwrite-strings
    -Wundef $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>)
# A message with its tail in one structure; gcc has nothing against it.
add_compile_options($<$<C_COMPILER_ID:Clang>:-Wno-gnu-variable-sized-type-not-at-end>)
if(P2PDMA_WERROR)
    add_compile_options(-Werror)
endif()
# Failed assertions must end a test in every build type.
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")

if(P2PDMA_SANITIZE)
    add_compile_options(-fsanitize=${P2PDMA_SANITIZE} -fno-omit-frame-pointer
        -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${P2PDMA_SANITIZE})
else()
    add_compile_options(-fstack-protector-strong)
    add_link_options(-Wl,-z,relro,-z,now)
endif()

# Coverage for libFuzzer in everything; only the fuzz targets get its main().
if(P2PDMA_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
    add_link_options(-fsanitize=fuzzer-no-link)
endif()

# A program that the lab copies into its guests.
function(p2pdma_lab_program name)
    add_dependencies(lab-programs ${name})
endfunction()
