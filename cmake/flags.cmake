# rt_flags: warnings, determinism and sanitizers for every target of the project.
add_library(rt_flags INTERFACE)
target_compile_definitions(rt_flags INTERFACE _POSIX_C_SOURCE=200809L RT_VERSION="${PROJECT_VERSION}")
if(APPLE)
  target_compile_definitions(rt_flags INTERFACE _DARWIN_C_SOURCE)
endif()
target_compile_options(rt_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wdouble-promotion -Wstrict-prototypes
  -Wmissing-prototypes -Wvla -Wundef -Wformat=2 -Wunused-result -Wswitch-enum
  # Doubles give the same result at every optimisation level and on every compiler:
  # no fused multiply-add, no fast-math. math-errno only costs calls.
  -ffp-contract=off -fno-math-errno)
# gcc clears and copies structs of a few hundred bytes with `rep stos`, which takes some 30 cycles to
# begin; unrolled it makes a replay 12 % faster (measured: conversation trace, 1 and 4 replicas).
include(CheckCCompilerFlag)
set(RT_UNROLL unrolled_loop:512:noalign,libcall:-1:noalign)
check_c_compiler_flag("-mmemset-strategy=${RT_UNROLL}" RT_HAS_MEMSET_STRATEGY)
if(RT_HAS_MEMSET_STRATEGY)
  target_compile_options(rt_flags INTERFACE -mmemset-strategy=${RT_UNROLL}
                         -mmemcpy-strategy=${RT_UNROLL})
  target_link_options(rt_flags INTERFACE -mmemset-strategy=${RT_UNROLL}
                      -mmemcpy-strategy=${RT_UNROLL}) # optimisation across files happens there
endif()
if(RT_LTO)
  include(CheckIPOSupported)
  check_ipo_supported(RESULT RT_LTO_WORKS OUTPUT RT_LTO_WHY LANGUAGES C)
  if(RT_LTO_WORKS)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
    # A replay runs through more code than a first-level cache holds (45 KB at least once in three
    # requests, of 32), so small code is fast code: with gcc 12 this is 6 to 8 % faster than -O3
    # (conversation trace, 1 and 4 replicas).
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_BUILD_TYPE STREQUAL "Release")
      set(RT_SMALL -O2 -ftree-vectorize -fvect-cost-model=dynamic -finline-limit=100
          -fno-align-functions -fno-align-loops -fno-align-jumps -fno-align-labels)
      target_compile_options(rt_flags INTERFACE ${RT_SMALL})
      target_link_options(rt_flags INTERFACE ${RT_SMALL})
    endif()
  else()
    message(STATUS "no optimisation across files: ${RT_LTO_WHY}")
  endif()
endif()
if(RT_WERROR)
  target_compile_options(rt_flags INTERFACE -Werror)
endif()
if(RT_SANITIZE)
  target_compile_options(rt_flags INTERFACE -fsanitize=${RT_SANITIZE} -fno-sanitize-recover=all
                         -fno-omit-frame-pointer)
  target_link_options(rt_flags INTERFACE -fsanitize=${RT_SANITIZE})
endif()
if(RT_FUZZ) # coverage for libFuzzer, of everything it calls
  target_compile_options(rt_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(rt_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
