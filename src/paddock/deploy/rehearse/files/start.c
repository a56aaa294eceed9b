/* The entry of npu-smi without the C library's: that one asks for glibc 2.34 wherever it was built
 * with it, and this program must also start in a container that is older than this machine. */
#include <stdlib.h>

int main(int argc, char **argv);

__attribute__((used)) void start_here(long *stack) { exit(main((int)stack[0], (char **)(stack + 1))); }

#if defined(__x86_64__)
__asm__(".globl _start\n_start: xor %ebp,%ebp\n mov %rsp,%rdi\n and $-16,%rsp\n call start_here\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start: mov x29,#0\n mov x30,#0\n mov x0,sp\n bl start_here\n");
#else
#error "write _start for this processor: it calls start_here with the stack pointer"
#endif
