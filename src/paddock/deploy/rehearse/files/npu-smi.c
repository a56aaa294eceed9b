/* A stand-in for npu-smi: a program that needs the driver's libdrvdsmi_host.so and prints what the
 * real one printed on the recorded machine, of those cards whose nodes this process may open. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drvdsmi.h"

/* The first number in a line of a table, behind "|"; that of a line about processes; or -1. */
static int npu_of(const char *line, const char *end) {
  static const char none[] = "| No running processes found in NPU ";
  const char *at = line;
  if (!strncmp(line, none, sizeof none - 1)) return atoi(line + sizeof none - 1);
  if (at < end && *at == '|') at++;
  while (at < end && (*at == ' ' || *at == '\t')) at++;
  return at < end && *at >= '0' && *at <= '9' ? atoi(at) : -1;
}

/* Groups of lines that end with a rule (info) or an empty line (-l), or single lines (-m); those of
 * cards that cannot be opened are left out. */
static void print_visible(const char *text, char ends) {
  const char *group = text, *line = text;
  while (*line) {
    const char *end = strchr(line, '\n');
    const char *next = end ? end + 1 : line + strlen(line);
    if (!end) end = next;
    if (ends == 'm' || *line == ends || (ends == '\n' && line == end) || !*next) {
      int npu = npu_of(group, next);
      if (ends == '\n') {
        const char *id = strstr(group, "NPU ID");
        npu = id && id < next ? atoi(strchr(id, ':') + 1) : -1;
      }
      if (npu < 0 || simulated_npu_visible(npu)) fwrite(group, 1, next - group, stdout);
      group = next;
    }
    line = next;
  }
}

static void print_list(const char *text, int count) {
  const char *total = strchr(text, ':');
  const char *rest = total ? strchr(total, '\n') : 0;
  if (!rest) return;
  printf("%.*s: %d", (int)(total - text), text, count);
  print_visible(rest, '\n');
}

static int about_hidden(int argc, char **argv) {
  int i;
  for (i = 1; i + 1 < argc; i++)
    if (!strcmp(argv[i], "-i") && !simulated_npu_visible(atoi(argv[i + 1]))) return 1;
  return 0;
}

int main(int argc, char **argv) {
  char words[512] = "";
  const char *text;
  int i, code = 0, count = 0;
  for (i = 1; i < argc; i++) {
    if (strlen(words) + strlen(argv[i]) + 2 > sizeof words) return 1;
    if (i > 1) strcat(words, " ");
    strcat(words, argv[i]);
  }
  dsmi_get_device_count(&count);
  if (!simulated_manager_opens() || count == 0) {
    /* The words of a real machine whose nodes could not be opened. */
    printf("DrvMngGetConsoleLogLevel failed. (ret=4)\ndcmi module initialize failed. ret is -8005\n");
    return 8;
  }
  if (about_hidden(argc, argv)) {
    printf("Invalid card id.\n");
    return 1;
  }
  text = simulated_answer(words, &code);
  if (!text) {
    printf("npu-smi: '%s' is not in the recording that this stand-in replays\n", words);
    return 1;
  }
  if (!strcmp(words, "info")) print_visible(text, '+');
  else if (!strcmp(words, "info -l")) print_list(text, count);
  else if (!strcmp(words, "info -m")) print_visible(text, 'm');
  else fputs(text, stdout);
  return code;
}
