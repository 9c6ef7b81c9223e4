/* What tinybench asks of libnvidia-ml.so.1, answered as an NVIDIA H200 with driver 570.124.06 does: idle (1 MiB used,
   76 W, 23 C) and, for the process whose memory grows, under load (434 W, 62 C). STAND_IN says what is out of the
   ordinary: `hidden` (a container: no process is known by its number), `mig` (a part of the GPU is there too), `silent`
   (no energy, no power). The memory of a process is what the file STAND_IN_MEMORY holds, in bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT = 7 };
enum { WHOLE = 1, PART = 2 };
static const unsigned long long MIB = 1ull << 20;

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } Process;

static int is(const char *kind) { const char *set = getenv("STAND_IN"); return set && strstr(set, kind); }

static unsigned long long grown(void) {
    unsigned long long bytes = 0;
    const char *path = getenv("STAND_IN_MEMORY");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (file) { if (fscanf(file, "%llu", &bytes) != 1) bytes = 0; fclose(file); }
    return bytes;
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int result) { return result == NOT_SUPPORTED ? "Not Supported" : "Invalid Argument"; }
int nvmlSystemGetDriverVersion(char *text, unsigned length) { snprintf(text, length, "570.124.06"); return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    *handle = (void *)WHOLE;
    return index ? INVALID : SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count) {
    (void)handle;
    *count = is("mig") ? 7 : 0;
    return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **part) {
    (void)handle;
    *part = (void *)PART;
    return index ? NOT_FOUND : SUCCESS;
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *part, void **handle) {
    *handle = (void *)WHOLE;
    return part == (void *)PART ? SUCCESS : INVALID;
}

int nvmlDeviceGetUUID(void *handle, char *text, unsigned length) {
    const char *kind = handle == (void *)PART ? "MIG" : "GPU";
    snprintf(text, length, "%s-10f35015-e921-bfab-2eb8-4e9b6664d5f1", kind);
    return SUCCESS;
}

int nvmlDeviceGetName(void *handle, char *text, unsigned length) {
    snprintf(text, length, handle == (void *)PART ? "NVIDIA H200 MIG 1g.18gb" : "NVIDIA H200");
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(void *handle, Memory *memory) {
    (void)handle;
    memory->total = 143771 * MIB;
    memory->used = 1 * MIB + grown();
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, Process *found) {
    (void)handle;
    unsigned room = *count;
    if (!grown()) { *count = 0; return SUCCESS; }
    *count = 1;
    if (!found || room < 1) return INSUFFICIENT;
    found[0].pid = is("hidden") ? 1 : (unsigned)getpid();
    found[0].used = grown();
    return SUCCESS;
}

int nvmlDeviceGetClockInfo(void *handle, int kind, unsigned *mhz) {
    *mhz = kind == 2 ? 3201 : grown() ? 1980 : 345;
    return handle == (void *)WHOLE ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetMaxClockInfo(void *handle, int kind, unsigned *mhz) {
    *mhz = kind == 2 ? 3201 : 1980;
    return handle == (void *)WHOLE ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetCurrentClocksEventReasons(void *handle, unsigned long long *reasons) {
    *reasons = grown() ? 4 : 1; /* power cap under load, else idle */
    return handle == (void *)WHOLE ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *celsius) {
    *celsius = grown() ? 62 : 23;
    return handle == (void *)WHOLE && sensor == 0 ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetPowerUsage(void *handle, unsigned *milliwatts) {
    *milliwatts = grown() ? 434000 : 76000;
    return handle == (void *)WHOLE && !is("silent") ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *millijoules) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    *millijoules = 434ull * (now.tv_sec * 1000ull + now.tv_nsec / 1000000ull);
    return handle == (void *)WHOLE && !is("silent") && !is("counterless") ? SUCCESS : NOT_SUPPORTED;
}
