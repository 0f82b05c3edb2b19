/* A PKCS#11 module in front of SoftHSM2 that can be told, by files in $EVSFS_TEST_SHIM, to be slow
 * ("slow" holds seconds), to lose its token ("removed"), to have no AES-GCM ("no-gcm") and to end
 * its process, once, before it makes or wraps a key ("die" has a byte for each to be done). It keeps
 * count: "logins" grows by a byte a login, "sessions" by + and - as they open and close. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ul;
/* CK_FUNCTION_LIST of version 2.40: a version, then the functions in the order of the standard. */
struct list { unsigned char version[2]; void *fn[68]; };
enum { GET_FUNCTION_LIST = 3, GET_SLOT_LIST, GET_SLOT_INFO, GET_TOKEN_INFO, GET_MECHANISM_LIST,
       OPEN_SESSION = 12, CLOSE_SESSION = 13, GET_SESSION_INFO = 15, LOGIN = 18, FIND_INIT = 26,
       ENCRYPT_INIT = 29, ENCRYPT = 30, DECRYPT_INIT = 33, DECRYPT = 34, SIGN_INIT = 42,
       GENERATE_KEY = 58 };
enum { DEVICE_REMOVED = 0x32, TOKEN_NOT_PRESENT = 0xE0, AES_GCM = 0x1087 };

static struct list real, ours;

static int open_file(const char *name, int flags)
{
    char path[4096];
    const char *place = getenv("EVSFS_TEST_SHIM");
    if (!place) return -1;
    snprintf(path, sizeof path, "%s/%s", place, name);
    return open(path, flags | O_CLOEXEC, 0600);
}

static int is_told(const char *name)
{
    int fd = open_file(name, O_RDONLY);
    if (fd < 0) return 0;
    close(fd);
    return 1;
}

static void count(const char *name, const char *what)
{
    int fd = open_file(name, O_WRONLY | O_APPEND | O_CREAT);
    if (fd < 0) return;
    if (write(fd, what, 1) != 1) abort();
    close(fd);
}

static void take_time(void)
{
    char text[16] = "";
    int fd = open_file("slow", O_RDONLY);
    if (fd < 0) return;
    if (read(fd, text, sizeof text - 1) > 0) sleep((unsigned)atoi(text));
    close(fd);
}

/* SoftHSM2 does not survive a kill at any moment, so processes are ended between its calls. */
static void die_in_time(void)
{
    char left[64], path[4096];
    int fd = open_file("die", O_RDONLY);
    if (fd < 0) return;
    ssize_t n = read(fd, left, sizeof left);
    close(fd);
    if (n <= 0) {
        snprintf(path, sizeof path, "%s/die", getenv("EVSFS_TEST_SHIM"));
        unlink(path);
        _exit(137);
    }
    fd = open_file("die", O_WRONLY | O_TRUNC);
    if (write(fd, left, (size_t)n - 1) != n - 1) abort();
    close(fd);
}

#define CALL(index, types) ((ul (*) types)real.fn[index])

static ul get_slot_list(unsigned char present, ul *slots, ul *n)
{
    if (is_told("removed")) { *n = 0; return 0; }
    return CALL(GET_SLOT_LIST, (unsigned char, ul *, ul *))(present, slots, n);
}
static ul get_token_info(ul slot, void *info)
{
    if (is_told("removed")) return TOKEN_NOT_PRESENT;
    return CALL(GET_TOKEN_INFO, (ul, void *))(slot, info);
}
static ul get_mechanism_list(ul slot, ul *list, ul *n)
{
    ul rv = CALL(GET_MECHANISM_LIST, (ul, ul *, ul *))(slot, list, n), kept = 0;
    if (rv || !list || !is_told("no-gcm")) return rv;
    for (ul i = 0; i < *n; i++) if (list[i] != AES_GCM) list[kept++] = list[i];
    *n = kept;
    return 0;
}
static ul open_session(ul slot, ul flags, void *app, void *notify, ul *session)
{
    if (is_told("removed")) return TOKEN_NOT_PRESENT;
    ul rv = CALL(OPEN_SESSION, (ul, ul, void *, void *, ul *))(slot, flags, app, notify, session);
    if (!rv) count("sessions", "+");
    return rv;
}
static ul close_session(ul session)
{
    ul rv = CALL(CLOSE_SESSION, (ul))(session);
    if (!rv) count("sessions", "-");
    return rv;
}
static ul login(ul session, ul user, void *pin, ul len)
{
    count("logins", ".");
    return CALL(LOGIN, (ul, ul, void *, ul))(session, user, pin, len);
}
static ul find_init(ul session, void *template, ul n)
{
    if (is_told("removed")) return DEVICE_REMOVED;
    return CALL(FIND_INIT, (ul, void *, ul))(session, template, n);
}
#define INIT(name, index) \
    static ul name(ul session, void *mechanism, ul key) \
    { \
        if (is_told("removed")) return DEVICE_REMOVED; \
        return CALL(index, (ul, void *, ul))(session, mechanism, key); \
    }
INIT(encrypt_init, ENCRYPT_INIT)
INIT(decrypt_init, DECRYPT_INIT)
INIT(sign_init, SIGN_INIT)
#define WORK(name, index) \
    static ul name(ul session, void *in, ul len, void *out, ul *out_len) \
    { \
        if (out) { take_time(); die_in_time(); } \
        return CALL(index, (ul, void *, ul, void *, ul *))(session, in, len, out, out_len); \
    }
WORK(encrypt, ENCRYPT)
WORK(decrypt, DECRYPT)
static ul generate_key(ul session, void *mechanism, void *template, ul n, ul *key)
{
    if (is_told("removed")) return DEVICE_REMOVED;
    take_time();
    die_in_time();
    return CALL(GENERATE_KEY, (ul, void *, void *, ul, ul *))(session, mechanism, template, n, key);
}

ul C_GetFunctionList(struct list **list)
{
    void *library = dlopen(SOFTHSM, RTLD_NOW | RTLD_LOCAL);
    ul (*get)(struct list **) = 0;
    struct list *theirs;
    if (library) *(void **)&get = dlsym(library, "C_GetFunctionList");
    if (!get || get(&theirs)) return 5;
    real = ours = *theirs;
    ours.fn[GET_FUNCTION_LIST] = C_GetFunctionList;
    ours.fn[GET_SLOT_LIST] = get_slot_list;
    ours.fn[GET_TOKEN_INFO] = get_token_info;
    ours.fn[GET_MECHANISM_LIST] = get_mechanism_list;
    ours.fn[OPEN_SESSION] = open_session;
    ours.fn[CLOSE_SESSION] = close_session;
    ours.fn[LOGIN] = login;
    ours.fn[FIND_INIT] = find_init;
    ours.fn[ENCRYPT_INIT] = encrypt_init;
    ours.fn[ENCRYPT] = encrypt;
    ours.fn[DECRYPT_INIT] = decrypt_init;
    ours.fn[DECRYPT] = decrypt;
    ours.fn[SIGN_INIT] = sign_init;
    ours.fn[GENERATE_KEY] = generate_key;
    *list = &ours;
    return 0;
}
