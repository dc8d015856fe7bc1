// SPDX-License-Identifier: GPL-2.0
/*
 * Device tree overlays from user space, through configfs.
 *
 * Mainline has no such interface; this module offers the one linux-xlnx has, so
 * that the same programs run on both:
 *
 *   mkdir /sys/kernel/config/device-tree/overlays/NAME
 *     path    write: name of a firmware file that holds the overlay; applies it
 *     dtbo    write: the overlay itself; applied when the file is closed
 *     status  read:  "applied" or "unapplied"
 *     error   read:  0, or the negative errno of the last attempt (an addition)
 *   rmdir     removes the overlay
 *
 * A write to path fails with the reason why the overlay could not be applied.
 * configfs ignores what becomes of a binary attribute at close(), so whoever
 * writes dtbo reads status afterwards, and error for the reason.
 *
 * An item holds one overlay: with one applied, path and dtbo say EBUSY. Overlays
 * that touch the same nodes must be removed in reverse order. rmdir cannot fail,
 * so an overlay that may not be removed yet is kept and tried again at each later
 * rmdir; until it is gone, the module cannot be unloaded, as with items left.
 */
#include <linux/configfs.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/firmware.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/of.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>

#define OVERLAY_MAX_SIZE	SZ_1M

struct overlay_item {
	struct config_item item;
	struct mutex lock;	/* of everything below */
	int changeset;		/* id from of_overlay_fdt_apply(); 0: not applied */
	int error;		/* of the last attempt */
	char *path;		/* firmware name, if applied by it */
	void *blob;		/* what is applied, or NULL */
	size_t blob_size;
};

/* An overlay whose item is gone, but which could not be removed. */
struct orphan {
	struct list_head list;
	int changeset;
};

static LIST_HEAD(orphans);
static DEFINE_MUTEX(orphans_lock);
static struct device *overlay_dev;

static struct overlay_item *to_overlay(struct config_item *item)
{
	return container_of(item, struct overlay_item, item);
}

/* Each one that comes off may be what kept another. */
static void retry_orphans(void)
{
	struct orphan *orphan, *next;
	bool progress;

	mutex_lock(&orphans_lock);
	do {
		progress = false;
		list_for_each_entry_safe(orphan, next, &orphans, list) {
			of_overlay_remove(&orphan->changeset);
			if (orphan->changeset)
				continue;
			list_del(&orphan->list);
			kfree(orphan);
			module_put(THIS_MODULE);
			progress = true;
		}
	} while (progress);
	mutex_unlock(&orphans_lock);
}

static void keep_orphan(int changeset)
{
	/* A few bytes, and no way to report that there are none. */
	struct orphan *orphan = kmalloc(sizeof(*orphan), GFP_KERNEL | __GFP_NOFAIL);

	orphan->changeset = changeset;
	/* An item's directory, or a writer, holds a reference already. */
	__module_get(THIS_MODULE);
	mutex_lock(&orphans_lock);
	list_add(&orphan->list, &orphans);
	mutex_unlock(&orphans_lock);
}

/*
 * Takes the overlay out of the tree. of_overlay_remove() sets the id to 0 as soon
 * as the tree is restored, even if a notifier then complains. Returns whether it
 * came off.
 */
static bool remove_changeset(const char *name, int changeset)
{
	int ret;

	if (!changeset)
		return false;
	ret = of_overlay_remove(&changeset);
	if (changeset) {
		dev_err(overlay_dev, "%s: overlay stays for now: %d\n", name, ret);
		keep_orphan(changeset);
		return false;
	}
	if (ret)
		dev_warn(overlay_dev, "%s: overlay removed, with error %d\n", name, ret);
	return true;
}

/* Applies a copy of the blob. Returns 0 or a negative errno; then nothing stays. */
static int apply_blob(struct overlay_item *overlay, const void *data, size_t size)
{
	int changeset = 0;
	void *blob;
	int ret;

	if (size == 0)
		return -EINVAL;
	if (size > OVERLAY_MAX_SIZE)
		return -EFBIG;
	blob = kvmalloc(size, GFP_KERNEL);
	if (!blob)
		return -ENOMEM;
	memcpy(blob, data, size);

	ret = of_overlay_fdt_apply(blob, size, &changeset, NULL);
	if (ret) {
		/* It may have got half way. */
		remove_changeset(config_item_name(&overlay->item), changeset);
		kvfree(blob);
		return ret;
	}
	overlay->changeset = changeset;
	overlay->blob = blob;
	overlay->blob_size = size;
	return 0;
}

static int apply_firmware(struct overlay_item *overlay, const char *path)
{
	const struct firmware *firmware;
	int ret;

	ret = request_firmware(&firmware, path, overlay_dev);
	if (ret)
		return ret;
	ret = apply_blob(overlay, firmware->data, firmware->size);
	release_firmware(firmware);
	return ret;
}

static ssize_t overlay_item_path_show(struct config_item *item, char *page)
{
	struct overlay_item *overlay = to_overlay(item);
	ssize_t length;

	mutex_lock(&overlay->lock);
	length = sysfs_emit(page, "%s\n", overlay->path ?: "");
	mutex_unlock(&overlay->lock);
	return length;
}

static ssize_t overlay_item_path_store(struct config_item *item, const char *page, size_t count)
{
	struct overlay_item *overlay = to_overlay(item);
	char *copy, *path;
	int ret;

	/* A NUL inside is the end of the name for request_firmware(), so refuse it. */
	if (strnlen(page, count) != count)
		return -EINVAL;
	copy = kstrndup(page, count, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	path = strim(copy);

	mutex_lock(&overlay->lock);
	if (overlay->changeset)
		ret = -EBUSY;
	else if (*path == '\0')
		ret = -EINVAL;
	else
		overlay->error = ret = apply_firmware(overlay, path);
	if (!ret) {
		memmove(copy, path, strlen(path) + 1);
		overlay->path = copy;
		copy = NULL;
	}
	mutex_unlock(&overlay->lock);
	kfree(copy);
	return ret ?: count;
}

static ssize_t overlay_item_status_show(struct config_item *item, char *page)
{
	struct overlay_item *overlay = to_overlay(item);
	ssize_t length;

	mutex_lock(&overlay->lock);
	length = sysfs_emit(page, "%s\n", overlay->changeset ? "applied" : "unapplied");
	mutex_unlock(&overlay->lock);
	return length;
}

static ssize_t overlay_item_error_show(struct config_item *item, char *page)
{
	struct overlay_item *overlay = to_overlay(item);
	ssize_t length;

	mutex_lock(&overlay->lock);
	length = sysfs_emit(page, "%d\n", overlay->error);
	mutex_unlock(&overlay->lock);
	return length;
}

/* configfs asks for the size with a NULL buffer first, then for that many bytes. */
static ssize_t overlay_item_dtbo_read(struct config_item *item, void *buffer, size_t size)
{
	struct overlay_item *overlay = to_overlay(item);
	ssize_t length;

	mutex_lock(&overlay->lock);
	length = overlay->blob_size;
	if (buffer) {
		length = min_t(size_t, overlay->blob_size, size);
		memcpy(buffer, overlay->blob, length);
	}
	mutex_unlock(&overlay->lock);
	return length;
}

/* Called at close() with all that was written; configfs ignores the result. */
static ssize_t overlay_item_dtbo_write(struct config_item *item, const void *data, size_t size)
{
	struct overlay_item *overlay = to_overlay(item);
	int ret;

	mutex_lock(&overlay->lock);
	ret = overlay->changeset ? -EBUSY : apply_blob(overlay, data, size);
	overlay->error = ret;
	mutex_unlock(&overlay->lock);
	if (ret)
		dev_err(overlay_dev, "%s: overlay not applied: %d\n", config_item_name(item), ret);
	return ret ?: size;
}

CONFIGFS_ATTR(overlay_item_, path);
CONFIGFS_ATTR_RO(overlay_item_, status);
CONFIGFS_ATTR_RO(overlay_item_, error);
CONFIGFS_BIN_ATTR(overlay_item_, dtbo, NULL, OVERLAY_MAX_SIZE);

static struct configfs_attribute *overlay_attrs[] = {
	&overlay_item_attr_path,
	&overlay_item_attr_status,
	&overlay_item_attr_error,
	NULL,
};

static struct configfs_bin_attribute *overlay_bin_attrs[] = {
	&overlay_item_attr_dtbo,
	NULL,
};

static void overlay_release(struct config_item *item)
{
	struct overlay_item *overlay = to_overlay(item);

	kvfree(overlay->blob);
	kfree(overlay->path);
	kfree(overlay);
}

static struct configfs_item_operations overlay_item_ops = {
	.release = overlay_release,
};

static const struct config_item_type overlay_type = {
	.ct_item_ops = &overlay_item_ops,
	.ct_attrs = overlay_attrs,
	.ct_bin_attrs = overlay_bin_attrs,
	.ct_owner = THIS_MODULE,
};

static struct config_item *overlays_make_item(struct config_group *group, const char *name)
{
	struct overlay_item *overlay = kzalloc(sizeof(*overlay), GFP_KERNEL);

	if (!overlay)
		return ERR_PTR(-ENOMEM);
	mutex_init(&overlay->lock);
	config_item_init_type_name(&overlay->item, name, &overlay_type);
	return &overlay->item;
}

/* By now configfs lets no reader or writer in any more. */
static void overlays_drop_item(struct config_group *group, struct config_item *item)
{
	struct overlay_item *overlay = to_overlay(item);
	bool removed;

	mutex_lock(&overlay->lock);
	removed = remove_changeset(config_item_name(item), overlay->changeset);
	overlay->changeset = 0;
	mutex_unlock(&overlay->lock);
	/* It may have been what another one waited for. */
	if (removed)
		retry_orphans();
	config_item_put(item);
}

static struct configfs_group_operations overlays_group_ops = {
	.make_item = overlays_make_item,
	.drop_item = overlays_drop_item,
};

static const struct config_item_type overlays_type = {
	.ct_group_ops = &overlays_group_ops,
	.ct_owner = THIS_MODULE,
};

static const struct config_item_type subsystem_type = {
	.ct_owner = THIS_MODULE,
};

static struct configfs_subsystem subsystem = {
	.su_group = {
		.cg_item = {
			.ci_namebuf = "device-tree",
			.ci_type = &subsystem_type,
		},
	},
	.su_mutex = __MUTEX_INITIALIZER(subsystem.su_mutex),
};

static struct config_group overlays_group;

static int __init overlay_configfs_init(void)
{
	int ret;

	overlay_dev = root_device_register("of-overlay-configfs");
	if (IS_ERR(overlay_dev))
		return PTR_ERR(overlay_dev);

	config_group_init(&subsystem.su_group);
	config_group_init_type_name(&overlays_group, "overlays", &overlays_type);
	configfs_add_default_group(&overlays_group, &subsystem.su_group);
	ret = configfs_register_subsystem(&subsystem);
	if (ret)
		root_device_unregister(overlay_dev);
	return ret;
}

static void __exit overlay_configfs_exit(void)
{
	configfs_unregister_subsystem(&subsystem);
	root_device_unregister(overlay_dev);
}

module_init(overlay_configfs_init);
module_exit(overlay_configfs_exit);

MODULE_DESCRIPTION("Device tree overlays through configfs");
MODULE_AUTHOR("hetoci contributors");
MODULE_LICENSE("GPL");
