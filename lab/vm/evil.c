/* A library somebody preloads. */
#include <unistd.h>

__attribute__((constructor)) static void loaded(void)
{
	if (write(1, "evil\n", 5)) {
	}
}
