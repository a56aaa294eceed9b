/* A stand-in for the driver's libdrvdsmi_host.so: it counts the device nodes that this process may
 * open and knows by heart what npu-smi printed on the recorded machine (recording.h, generated).
 * The recording is inside the library, so it is where the library is, in a container too. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "drvdsmi.h"
#include "recording.h"

static int opens(const char *path) {
  int node = open(path, O_RDWR);
  if (node < 0) return 0;
  close(node);
  return 1;
}

int dsmi_get_device_count(int *count) {
  int node;
  *count = 0;
  for (node = 0; node < 64; node++) {
    char path[32];
    snprintf(path, sizeof path, "/dev/davinci%d", node);
    *count += opens(path);
  }
  return 0;
}

int simulated_manager_opens(void) { return opens("/dev/davinci_manager"); }

int simulated_npu_visible(int npu) {
  unsigned i;
  for (i = 0; i < sizeof cards / sizeof *cards; i++) {
    char path[32];
    snprintf(path, sizeof path, "/dev/davinci%d", cards[i].node);
    if (cards[i].npu == npu && opens(path)) return 1;
  }
  return 0;
}

const char *simulated_answer(const char *words, int *code) {
  unsigned i;
  for (i = 0; i < sizeof answers / sizeof *answers; i++)
    if (!strcmp(answers[i].words, words)) {
      *code = answers[i].code;
      return answers[i].text;
    }
  return 0;
}
