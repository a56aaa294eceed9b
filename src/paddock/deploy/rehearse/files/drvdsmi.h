/* What the stand-in for npu-smi asks of the stand-in for libdrvdsmi_host.so. */
int dsmi_get_device_count(int *count);
int simulated_manager_opens(void);
int simulated_npu_visible(int npu);
const char *simulated_answer(const char *words, int *code);
